"""TLS with SCRAM-SHA-512 against a real broker; passwords by reference and nowhere else."""

import pytest

from harness import configuration, pipeline


@pytest.fixture
def secured(secure, tmp_path):
    """The secure cluster's section with its password in a file."""
    (tmp_path / "password").write_text(secure.PASSWORD + "\n")
    (tmp_path / "password").chmod(0o600)
    return {
        "bootstrap.servers": f"127.0.0.1:{secure.secure_port}",
        "tls": {"ca": str(secure.certificates.ca)},
        "auth": {"scram-sha-512": {"username": secure.USER,
                                   "password": f"${{file:{tmp_path}/password}}"}},
    }


def test_tls_with_scram_both_ways(source, secure, secured, bridge, unique):
    there, back = unique("there"), unique("back")
    source.create_topic(there)
    source.produce(there, [b"%d" % i for i in range(100)])
    out = bridge(configuration(source, secured, {unique("p"): pipeline(there)}))
    out.until_caught_up()
    assert secure.values(there) == [b"%d" % i for i in range(100)]
    home = bridge(configuration(secured, source, {unique("q"): pipeline(there, to=back)}))
    home.until_caught_up()
    assert source.values(back) == secure.values(there)

    echoed = out.with_config("echo")
    assert echoed.status == 0, echoed.text
    for text in (echoed.text, out.log.read_text(), out.with_config("check").text):
        assert secure.PASSWORD not in text
    assert "${file:" in echoed.out


def test_library_properties_by_their_own_names(source, secure, secured, bridge, unique):
    topic = source.create_topic(unique())
    source.produce(topic, [b"v"])
    made = bridge(configuration(
        source, secure.secure_properties() | {"sasl.password": "${env:SCRAM_PASSWORD}"},
        {unique("p"): pipeline(topic)}), environment={"SCRAM_PASSWORD": secure.PASSWORD})
    done = made.until_caught_up(expect=None)
    assert done.status == 1 and "SCRAM_PASSWORD" in done.text  # a variable must be allowed by name
    text = made.config.read_text().replace("log:\n", "secrets: {env: [SCRAM_PASSWORD]}\n  log:\n", 1)
    made.configure(text)
    made.until_caught_up()
    assert secure.values(topic) == [b"v"]


def test_literal_passwords_are_refused(source, secure, secured, bridge, unique):
    config = configuration(source, secure.secure_properties() | {"sasl.password": secure.PASSWORD},
                           {unique("p"): pipeline(unique())})
    done = bridge(config).with_config("lint")
    assert done.status == 1 and "sasl.password" in done.text
    assert secure.PASSWORD not in done.text


@pytest.mark.parametrize("wrong", ["password", "authority", "plaintext"])
def test_wrong_credentials_fail_the_pipeline_and_are_named(wrong, source, secure, secured, bridge,
                                                           unique, tmp_path):
    topic = source.create_topic(unique(wrong))
    source.produce(topic, [b"v"])
    if wrong == "password":
        (tmp_path / "password").write_text("not the password\n")
    elif wrong == "authority":
        from harness.certificates import Certificates
        secured["tls"]["ca"] = str(Certificates(tmp_path / "other").ca)
    else:
        secured.pop("tls")
    made = bridge(configuration(source, secured, {unique("p"): pipeline(topic)}))
    checked = made.with_config("check", timeout=90)
    assert checked.status != 0 and "dst" in checked.text
    made.start()
    made.wait_for("dst" if wrong == "plaintext" else "uthenticat" if wrong == "password" else "ertif",
                  40)
    made.kill()
    assert topic not in secure.topics()
    assert secure.PASSWORD not in made.log.read_text()
    assert "not the password" not in made.log.read_text()
