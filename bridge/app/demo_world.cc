#include "bridge/app/demo_world.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "bridge/app/configuration.h"
#include "bridge/app/daemon.h"
#include "bridge/base/secret.h"
#include "bridge/kafka/connector.h"
#include "bridge/keys/keyring_admin.h"

namespace drawbridge {
namespace {

constexpr std::string_view kTemplate = R"(daemon:
  name: demo
  state-directory: state

clusters:
  dc:    {{bootstrap.servers: "{dc}"}}
  cloud: {{bootstrap.servers: "{cloud}"}}

key_domains:
  dc-keys:    {{keyring: {{file: dc.keyring, key: departments}}}}
  cloud-keys: {{keyring: {{file: cloud.keyring, key: departments}}}}

pipelines:
  reencrypted:            # opens each record and seals it again under a new data key
    from: {{cluster: dc, topics: [sales, finance, hr]}}
    dataset: departments
    transforms:
      - rekey: {{from: dc-keys, to: cloud-keys, mode: reencrypt}}
    to: {{cluster: cloud, topic: "reencrypted.{{topic}}"}}

  rewrapped:              # wraps the data keys anew and leaves the ciphertext as it is
    from: {{cluster: dc, topics: [sales, finance, hr]}}
    dataset: departments
    transforms:
      - rekey: {{from: dc-keys, to: cloud-keys, mode: rewrap}}
    to: {{cluster: cloud, topic: "rewrapped.{{topic}}"}}
)";

}  // namespace

std::string demo_copy(std::string_view mode, std::string_view department) {
  return fmt::format("{}.{}", mode, department);
}

Result<TemporaryDirectory> TemporaryDirectory::make(const std::string& prefix) {
  const char* set = std::getenv("TMPDIR");
  const std::string parent = set != nullptr && *set == '/' ? set : "/tmp";
  std::string path = fmt::format("{}/{}-XXXXXX", parent, prefix);
  if (mkdtemp(path.data()) == nullptr) {
    return fail(ErrorCode::kIo, "cannot make a directory in {}: {}; set TMPDIR to one that can",
                parent, std::strerror(errno));
  }
  return TemporaryDirectory(std::move(path));
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;  // nobody to tell
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

std::string DemoWorld::path(std::string_view name) const {
  return fmt::format("{}/{}", directory(), name);
}

Result<std::unique_ptr<DemoWorld>> DemoWorld::make() {
  DRAWBRIDGE_ASSIGN(TemporaryDirectory directory, TemporaryDirectory::make("drawbridge-demo"));
  std::unique_ptr<DemoWorld> world(new DemoWorld(std::move(directory)));
  DRAWBRIDGE_TRY(world->start_clusters());
  DRAWBRIDGE_TRY(world->make_keys());
  DRAWBRIDGE_TRY(world->write_configuration());
  DRAWBRIDGE_ASSIGN(world->keys_, open_key_domains(world->configuration_));
  world->connector_ = kafka::make_connector();
  return world;
}

Result<void> DemoWorld::start_clusters() {
  DRAWBRIDGE_ASSIGN(dc_, kafka::EmbeddedCluster::start());
  DRAWBRIDGE_ASSIGN(cloud_, kafka::EmbeddedCluster::start());
  for (const auto department : kDepartments) {
    DRAWBRIDGE_TRY(dc_->create_topic(std::string(department), kDemoPartitions));
    for (const auto mode : kDemoModes) {
      DRAWBRIDGE_TRY(cloud_->create_topic(demo_copy(mode, department), kDemoPartitions));
    }
  }
  return {};
}

Result<void> DemoWorld::make_keys() {
  DRAWBRIDGE_TRY(init_secret_heap(secret_heap_bytes(std::vector<KeyCacheLimits>(2))));
  const WallMillis now = SystemClock().wall();
  for (const auto name : {"dc.keyring", "cloud.keyring"}) {
    DRAWBRIDGE_TRY(create_key(path(name), "departments", now));
  }
  return {};
}

Result<void> DemoWorld::write_configuration() {
  text_ = fmt::format(kTemplate, fmt::arg("dc", dc_->bootstrap_servers()),
                      fmt::arg("cloud", cloud_->bootstrap_servers()));
  const std::string file = path("demo.yaml");
  std::ofstream(file) << text_;
  auto loaded = load_configuration(file, catalogue(), {});
  if (!loaded) {
    return fail(ErrorCode::kInternal, "the demo's own configuration: {}",
                loaded.error().front().text());
  }
  configuration_ = std::move(*loaded);
  return {};
}

}  // namespace drawbridge
