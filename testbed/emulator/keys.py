"""The keys by which a lab's agent and its controller know each other."""

from __future__ import annotations

from pathlib import Path

import msgspec

from testbed import errors


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The lab's CURVE keys, Z85; the file `keys` of the lab folder, JSON. An agent needs no client's secret."""

    server_public: str
    server_secret: str
    client_public: str
    client_secret: str = ""

    @classmethod
    def read(cls, folder: Path) -> Keys:
        """Read `folder`/keys.

        Raises:
            Unable: missing or not as expected.
        """
        try:
            return msgspec.json.decode((folder / "keys").read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError) as error:
            raise errors.Unable(f"{folder / 'keys'}: {error}; expected JSON with the CURVE keys") from None
