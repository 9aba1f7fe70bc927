"""A client of the HTTP API with nothing but the standard library, as a stranger's would be."""

import json
import urllib.error
import urllib.request
from typing import Any


class Client:
    """Signed in as one user; answers are (status, body)."""

    def __init__(self, base_url: str, *, username: str, password: str) -> None:
        self._base = f"{base_url}/api/v1/"
        self.token = ""
        status, body = self.post("auth/token/", {"username": username, "password": password})
        assert status == 200, body
        self.token = body["access"]

    def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a JSON body."""
        return self._call("POST", path, body)

    def get(self, path: str) -> tuple[int, Any]:
        """Read."""
        return self._call("GET", path, None)

    def _call(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
