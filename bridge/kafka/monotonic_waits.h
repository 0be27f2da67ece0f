// The client library waits for moments of the wall clock (C11's cnd_timedwait). When that is
// stepped back, by NTP say, whoever waits stands still for as long as the step was wide: fetching,
// transactions, everything. So cnd_timedwait is defined here, for the whole program, on the
// monotonic clock: it takes what is left until the moment as a duration.
//
// And a millisecond more: the library's main threads wait for their next timer in whole
// milliseconds, rounded down, and poll without a pause for the rest.
#pragma once

namespace drawbridge::kafka {

// Makes the linker take the definition in. Call it before the library is used.
void use_monotonic_waits();

}  // namespace drawbridge::kafka
