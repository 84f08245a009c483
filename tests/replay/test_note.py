import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from testbed.errors import BadInput, Refused
from testbed.replay import note

# The example of Go's golang.org/x/mod/sumdb/note, whose format C2SP signed-note describes.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNED = (
    TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
HEAD = note.Checkpoint("example.org/log", 3, bytes(32))


def test_a_note_signed_elsewhere_is_read():
    name, key = note.read_verifier(PETER)
    assert note.open_note(SIGNED, name, key) == TEXT


def test_a_key_is_written_as_it_was_read():
    assert note.verifier_text(*note.read_verifier(PETER)) == PETER


def test_a_checkpoint_comes_back_from_its_note():
    signed = note.sign(HEAD.text(), "log", KEY)
    assert note.read_checkpoint(signed, "log", KEY.public_key()) == HEAD


@pytest.mark.parametrize("position", range(len(note.sign(HEAD.text(), "log", KEY)) - 1))
def test_a_note_altered_anywhere_is_refused(position):
    signed = note.sign(HEAD.text(), "log", KEY)
    altered = signed[:position] + ("A" if signed[position] != "A" else "B") + signed[position + 1 :]
    with pytest.raises(Refused):
        note.read_checkpoint(altered, "log", KEY.public_key())


@pytest.mark.parametrize("text", ["log\n03\nAAAA\n", "log\n3\nAAAA\n", "log\n3\n", "log\nthree\n" + "A" * 43 + "=\n"])
def test_a_signed_text_that_is_no_checkpoint_is_refused(text):
    with pytest.raises(Refused, match="no checkpoint"):
        note.read_checkpoint(note.sign(text, "log", KEY), "log", KEY.public_key())


@pytest.mark.parametrize("text", ["", "a+b", PETER.replace("c74f", "c74e"), PETER[:-4], "x+00000000+AAAA"])
def test_what_is_no_key_is_refused(text):
    with pytest.raises(BadInput, match="note key"):
        note.read_verifier(text)
