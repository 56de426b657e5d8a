// One report over many runs: Google Benchmark is started once for each shape (so that its random
// interleaving mixes the implementations of that shape and nothing else), and this joins the
// results on the console and in one JSON file.
#ifndef LANEFUSE_BENCH_SUPPORT_REPORTER_H_
#define LANEFUSE_BENCH_SUPPORT_REPORTER_H_

#include <benchmark/benchmark.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace lanefuse::bench {

class JoinedReporter final : public benchmark::BenchmarkReporter {
 public:
  // `json`: a file for every single repetition; empty: none. `width`: of the longest name.
  JoinedReporter(const std::string& json, size_t width);

  // False if the file cannot be written.
  bool ok() const { return json_ == nullptr || file_.good(); }

  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;
  void Finalize() override {}  // one shape is done, not the report
  void Close();

 private:
  size_t width_;
  std::ofstream file_;
  std::unique_ptr<benchmark::BenchmarkReporter> console_;
  std::unique_ptr<benchmark::BenchmarkReporter> json_;
  bool started_ = false;
};

}  // namespace lanefuse::bench

#endif  // LANEFUSE_BENCH_SUPPORT_REPORTER_H_
