import os
import select
import subprocess
import sys

import pytest

from testbed import kernel
from testbed.emulator import namespaces
from testbed.errors import Unable


def test_a_bare_interpreter_can_use_the_system_calls():
    code = "import sys; before = set(sys.modules); import testbed.kernel; print(*set(sys.modules) - before)"
    said = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in said if name.partition(".")[0] not in sys.stdlib_module_names}
    assert ours == {"testbed", "testbed.kernel"}


def test_a_refusal_says_what_was_refused():
    with pytest.raises(OSError, match=r"setns\(-1, 0x40000000\): Bad file descriptor"):
        kernel.setns(-1, kernel.CLONE_NEWNET)


def test_a_refusal_in_the_agent_is_an_error_that_a_client_can_raise_again():
    with pytest.raises(Unable, match="Bad file descriptor; the agent needs to be root of its user namespace"):
        namespaces.setns(-1, kernel.CLONE_NEWNET)


def test_a_watched_folder_tells_of_what_appears_and_of_what_is_written(tmp_path):
    watching = kernel.watch(str(tmp_path))
    assert not select.select([watching], [], [], 0)[0]
    (tmp_path / "new").touch()
    assert os.read(watching, 65536)
    (tmp_path / "new").write_text("more")
    assert os.read(watching, 65536)
    os.close(watching)
