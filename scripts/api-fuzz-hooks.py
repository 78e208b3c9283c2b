"""What scripts/api-fuzz.sh adds to schemathesis: a board that signs the registrations of device identities.

Whatever was made up for the other fields stays; a text for the public key becomes that of a new key pair,
because nobody hits upon one by chance."""

import base64
import hashlib
import json
import subprocess
import tempfile
from urllib.parse import parse_qsl, urlencode

import requests
import schemathesis

PATH = "/organisation/device-identities"
SIGNED = ("Authorization", "Content-Type", "Accept", "X-Connect-Timestamp")


def openssl(*arguments, given):
    run = subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True)
    return run.stdout


def text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value


def with_key(body, kind, key):
    """The body with this public key, if it has a text where one belongs."""
    try:
        if kind.startswith("application/x-www-form-urlencoded"):
            pairs = parse_qsl(body.decode(), keep_blank_values=True)
            return urlencode([(name, key if name == "public_key" else value) for name, value in pairs]).encode()
        fields = json.loads(body)
        if isinstance(fields, dict) and isinstance(fields.get("public_key"), str):
            fields["public_key"] = key
            return json.dumps(fields).encode()
    except ValueError:
        pass
    return body


class Board(requests.auth.AuthBase):
    def __call__(self, request):
        if request.method != "POST" or request.path_url.split("?")[0] != PATH:
            return request
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        if not isinstance(body, bytes):
            return request
        key = openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", given=b"")
        public = openssl("ec", "-pubout", given=key).decode()
        request.body = with_key(body, text(request.headers.get("Content-Type", "")), public)
        digest = hashlib.sha256(request.body).hexdigest()
        # A time that is made up is never now: most requests do without.
        if digest[0] != "0":
            request.headers.pop("X-Connect-Timestamp", None)
        headers = [f"{name}: {text(request.headers[name])}" for name in SIGNED if name in request.headers]
        message = "\n".join(["POST", request.url, *headers, digest])
        with tempfile.NamedTemporaryFile() as file:
            file.write(key)
            file.flush()
            signature = openssl("dgst", "-sha256", "-sign", file.name, given=message.encode("latin-1"))
        request.headers["X-Connect-Identity-Signature"] = base64.b64encode(signature).decode()
        return request


schemathesis.auth.set_from_requests(Board())
