#include "bench/support/reporter.h"

#include <algorithm>

namespace lanefuse::bench {

JoinedReporter::JoinedReporter(const std::string& json, size_t width)
    : width_(width), console_(benchmark::CreateDefaultDisplayReporter()) {
  if (json.empty()) return;
  file_.open(json);
  json_ = std::make_unique<benchmark::JSONReporter>();
  json_->SetOutputStream(&file_);
}

bool JoinedReporter::ReportContext(const Context& context) {
  if (started_) return true;
  started_ = true;
  Context wide = context;
  wide.name_field_width = width_ + sizeof("_median");
  return console_->ReportContext(wide) && (json_ == nullptr || json_->ReportContext(wide));
}

void JoinedReporter::ReportRuns(const std::vector<Run>& runs) {
  std::vector<Run> all = runs, shown;
  for (Run& run : all) {
    // Our names are complete; what Google Benchmark appends (iterations, real_time) does not belong
    // to them.
    run.run_name.iterations.clear();
    run.run_name.repetitions.clear();
    run.run_name.time_type.clear();
    // Of several repetitions the median stands for all.
    const bool aggregate = run.run_type == Run::RT_Aggregate;
    if (run.repetitions <= 1 || (aggregate && run.aggregate_name == "median")) shown.push_back(run);
  }
  if (!shown.empty()) console_->ReportRuns(shown);
  if (json_ != nullptr) json_->ReportRuns(all);
}

void JoinedReporter::Close() {
  if (!started_) return;
  console_->Finalize();
  if (json_ != nullptr) json_->Finalize();
  file_.flush();
}

}  // namespace lanefuse::bench
