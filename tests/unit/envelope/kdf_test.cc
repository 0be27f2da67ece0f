#include "bridge/envelope/kdf.h"

#include "bridge/envelope/key_id.h"
#include "tests/unit/envelope/support.h"

namespace drawbridge {
namespace {

std::string hmac_hex(ByteView key, ByteView head, ByteView body) {
  Hmac hmac = Hmac::create(key).value();
  Sha256 out;
  // Twice: the second message must not see the first.
  EXPECT_EQ(outcome(hmac.digest(body, head, out)), "ok");
  EXPECT_EQ(outcome(hmac.digest(head, body, out)), "ok");
  return to_hex(out);
}

TEST(HmacTest, AgreesWithRfc4231) {
  EXPECT_EQ(hmac_hex(Bytes(20, 0x0b), as_bytes("Hi "), as_bytes("There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hmac_hex(as_bytes("Jefe"), {}, as_bytes("what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hmac_hex(Bytes(20, 0xaa), Bytes(50, 0xdd), {}),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  EXPECT_EQ(outcome(Hmac::create(Bytes(65))), "internal");
}

TEST(SubjectReferenceTest, IsATruncatedHmac) {
  const SecretBytes key = secret_of(Bytes(20, 0x0b));
  const SubjectReference reference = subject_reference(key, as_bytes("Hi There")).value();
  EXPECT_EQ(to_hex(reference), "b0344c61d8db38535ca8afceaf0bf12b");
  EXPECT_NE(subject_reference(key, {}).value(), reference);
}

TEST(SubjectReferenceTest, RefusesKeysThatAreTooShort) {
  EXPECT_EQ(outcome(subject_reference(secret_of(Bytes(15)), as_bytes("x"))), "invalid");
  EXPECT_EQ(outcome(subject_reference(SecretBytes(), as_bytes("x"))), "invalid");
  EXPECT_EQ(outcome(subject_reference(secret_of(Bytes(16)), as_bytes("x"))), "ok");
  EXPECT_EQ(outcome(subject_reference(secret_of(Bytes(65)), as_bytes("x"))), "invalid");
}

TEST(DeriveKeyTest, SeparatesPurposeSuiteSaltAndKey) {
  const SecretBytes dek = secret_of(Bytes(32, 7));
  const SecretBytes other = secret_of(Bytes(32, 8));
  const auto derived = [](Suite suite, const SecretBytes& key, ByteView salt,
                          std::string_view info) {
    Bytes out(32);
    EXPECT_EQ(outcome(derive_key(suite, key, salt, info, out)), "ok");
    return out;
  };
  const Bytes base = derived(Suite::kAes256Gcm, dek, {}, format::kContentInfo);
  EXPECT_EQ(derived(Suite::kAes256Gcm, dek, {}, format::kContentInfo), base);
  EXPECT_NE(derived(Suite::kAes256Gcm, dek, {}, format::kCommitInfo), base);
  EXPECT_NE(derived(Suite::kAes256Gcm, dek, {}, format::kBindInfo), base);
  EXPECT_NE(derived(Suite::kChaCha20Poly1305, dek, {}, format::kContentInfo), base);
  EXPECT_NE(derived(Suite::kAes256Gcm, other, {}, format::kContentInfo), base);
  const Bytes salted = derived(Suite::kAes256Gcm, dek, Bytes(32, 1), format::kContentInfo);
  EXPECT_NE(salted, base);
  EXPECT_NE(derived(Suite::kAes256Gcm, dek, Bytes(32, 2), format::kContentInfo), salted);
}

}  // namespace
}  // namespace drawbridge
