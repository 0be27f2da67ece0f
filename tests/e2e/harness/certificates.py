"""A throw-away certificate authority, made with the openssl program."""

import pathlib
import subprocess


class Certificates:
    """ca.pem, broker.pem (key and certificate), client.key and client.crt in one folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca = self.folder / "ca.pem"
        self.broker = self.folder / "broker.pem"
        self.client_key = self.folder / "client.key"
        self.client_certificate = self.folder / "client.crt"
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
                      "-subj", "/CN=drawbridge test authority",
                      "-keyout", "ca.key", "-out", "ca.pem")
        self._issue("broker", "/CN=broker", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        self._issue("client", "/CN=bridge", "extendedKeyUsage=clientAuth")
        # Kafka reads a PEM key store as the private key (PKCS#8) followed by its chain.
        self.broker.write_text((self.folder / "broker.key").read_text()
                               + (self.folder / "broker.crt").read_text())

    def _issue(self, name, subject, extension):
        (self.folder / f"{name}.ext").write_text(extension + "\n")
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", subject,
                      "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                      "-CAcreateserial", "-days", "30", "-extfile", f"{name}.ext",
                      "-out", f"{name}.crt")

    def _openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")
