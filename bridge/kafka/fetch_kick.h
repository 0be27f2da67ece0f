// Wakes the consumer's fetcher.
//
// The library stops fetching for a queue that is full and then, when nothing else happens on the
// connection, looks again only after up to a second (its issue 2879). Any request to the broker
// wakes it, so while some feed could take more, a small one is sent: the end offset of one
// partition per broker.
#pragma once

#include <librdkafka/rdkafka.h>

namespace drawbridge::kafka {

class FetchKick {
 public:
  explicit FetchKick(rd_kafka_t* rk) : rk_(rk) {}

 private:
  [[maybe_unused]] rd_kafka_t* rk_;
};

}  // namespace drawbridge::kafka
