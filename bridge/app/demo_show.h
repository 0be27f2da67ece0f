// What the demo prints: in colour and with a moving line on a terminal, plain in a pipe.
#pragma once

#include <sys/types.h>

#include <array>
#include <string>
#include <string_view>

#include "bridge/app/demo_audit.h"
#include "bridge/app/demo_world.h"
#include "bridge/app/terminal.h"

namespace drawbridge {

using CopyCounts = std::array<std::size_t, kDemoModes.size()>;

class DemoShow {
 public:
  DemoShow();

  void title();
  void stage(const DemoWorld& world);
  void configuration(const DemoWorld& world);

  void started(pid_t pid, std::size_t sent);
  void progress(const CopyCounts& copied, std::size_t sent);  // the moving line
  void killed(const CopyCounts& copied, std::size_t sent);
  void checkpoint(const CopyCounts& safe);
  void meanwhile(std::size_t records);
  void resumed();
  void caught_up(double seconds);

  // True when nothing is lost, altered or out of order.
  bool counts(const Audit& audit, std::size_t sent);
  void side_by_side(const Audit& audit);
  // Tries each key on each copy. True when exactly those open that should. Errors: of key stores.
  Result<bool> keys(DemoWorld& world, const Audit& audit);

  void broken_off();  // ends a moving line before an error
  void end(bool good, double seconds);

 private:
  void heading(std::string_view text);
  void event(std::string_view label, Colour colour, std::string_view text);
  void verdict(std::string_view who, std::string_view what, bool should_open,
               const Result<std::string>& opened, bool& good);
  void clear_progress();

  const Style style_;
  const bool terminal_;
  int number_ = 0;
  bool moving_ = false;
};

}  // namespace drawbridge
