# Functions for toolchains/setup and toolchains/build, which source this file: packages and sources
# of another Debian suite or of this one, from the mirror that apt uses already, through a list of
# its own. The system's lists, preferences and caches stay as they are.

# debian_list FOLDER TYPE SUITE...: makes FOLDER with a source list of these suites (TYPE is deb or
# deb-src), and sets the array `only` to the options that make apt-get read nothing else. Prints
# what is wrong and fails where apt has no Debian mirror.
debian_list() {
  local folder=$1 type=$2 codename target uri origin_file number signed_by
  shift 2
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  target=$(apt-get indextargets \
    --format '$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(CREATED_BY)|$(REPO_URI)|$(SOURCESENTRY)' |
    awk -F'|' -v suite="$codename" \
      '$1 == "Debian" && (suite == "" || $2 == suite) && $3 == "main" && $4 == "Packages" \
       { print; exit }')
  if [ -z "$target" ]; then
    echo "none of apt's sources is a Debian ${codename:-} mirror" >&2
    return 1
  fi
  uri=$(cut -d'|' -f5 <<<"$target")
  origin_file=$(cut -d'|' -f6 <<<"$target")
  number=${origin_file##*:}  # of the line in a .list file, of the stanza in a .sources file
  origin_file=${origin_file%:*}
  case $origin_file in
    *.sources)
      signed_by=$(grep -v '^#' "$origin_file" | awk -v RS= -v n="$number" 'NR == n' |
        awk '/^[^ \t]/ { on = tolower($0) ~ /^signed-by:/ } on') ;;
    *)
      signed_by=$(sed -n "${number}p" "$origin_file" |
        sed -n 's/^[^#]*\[.*signed-by=\([^] ]*\).*\].*/Signed-By: \1/p' | tr , ' ') ;;
  esac
  mkdir -p "$folder/lists/partial"
  printf 'Types: %s\nURIs: %s\nSuites: %s\nComponents: main\n' "$type" "$uri" "$*" \
    >"$folder/list.sources"
  if [ -n "$signed_by" ]; then echo "$signed_by" >>"$folder/list.sources"; fi
  debian_uri=$uri
  only=(-o Dir::Etc::sourcelist="$folder/list.sources" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
    -o Dir::State::lists="$folder/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
    -o APT::Default-Release= -o Acquire::Languages=none)
}
