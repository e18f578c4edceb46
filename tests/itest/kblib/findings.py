"""What a sanitizer or valgrind writes of any process that a test starts: a failure of that test."""

import os
import tempfile

_SANITIZERS = ("ASAN_OPTIONS", "UBSAN_OPTIONS")
_VALGRIND = "VALGRIND_LOGS"  # tools/under-valgrind


class Findings:
    """Reports go to files, so that none is lost in an output that no test reads, or behind an exit code it expects."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="findings.")
        os.chmod(self._folder.name, 0o1777)  # for a daemon that has given up root
        path = self._folder.name
        for name in _SANITIZERS:
            os.environ[name] = ":".join(filter(None, (os.environ.get(name), f"log_path={path}/sanitizer")))
        os.environ[_VALGRIND] = path

    def take(self):
        """The reports since the last call, as one text."""
        reports = []
        for name in sorted(os.listdir(self._folder.name)):
            path = os.path.join(self._folder.name, name)
            with open(path, encoding="utf-8", errors="replace") as f:
                text = f.read()
            if text:  # valgrind's file is there from the start of a process, perhaps one that still runs
                reports.append(f"{name}:\n{text}")
                os.remove(path)
        return "\n".join(reports)
