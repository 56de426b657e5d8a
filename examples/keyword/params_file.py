"""Writes keyword.params, the file between training and the packer.

A text header, lines ending in a single newline:

    keyword-params 1                          the format and its version
    classes CLASS...                          class names in the order of the network's outputs
    tensor NAME DIM...                        one line for each tensor, in the order of the data
    data                                      ends the header

The data follows at once: for each tensor, in header order, the product of its dimensions many
little-endian IEEE float32 values, the last dimension varying fastest. Nothing comes after it.

Names have no spaces. The tensors, in this order, with B = 0..3:

    frontend.mean, frontend.std               10          x = (mfcc - mean) / std, by coefficient
    conv.weight                               64 10 4 1   output channel, row (time), column, input
    block{B}.depthwise.weight                 3 3 64      row, column, channel
    block{B}.pointwise.weight                 64 1 1 64   output channel, row, column, input channel
    fc.weight                                 12 64       output, input
    fc.bias                                   12

Each convolution has no bias and its tensor is followed by those of its batch normalisation, named
conv.bn, block{B}.depthwise.bn and block{B}.pointwise.bn:

    *.gamma, *.beta, *.mean, *.var            64          y = gamma * (x - mean) / sqrt(var + eps)
    *.eps                                     1               + beta
"""

import numpy as np


def write_params(path, classes, named_tensors):
    with open(path, "wb") as file:
        header = ["keyword-params 1", "classes " + " ".join(classes)]
        header += [" ".join(["tensor", name, *map(str, array.shape)])
                   for name, array in named_tensors]
        file.write(("\n".join(header) + "\ndata\n").encode("ascii"))
        for _, array in named_tensors:
            file.write(np.ascontiguousarray(array, dtype="<f4").tobytes())
