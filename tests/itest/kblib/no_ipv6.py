"""A machine without an IPv6 stack, as one process sees it."""

import ctypes
import os
import socket
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_SOCKET_CALL = {"x86_64": 41, "aarch64": 198}.get(os.uname().machine)
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_EAFNOSUPPORT = 97
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06

supported = _SOCKET_CALL is not None


class _Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def without_ipv6():
    """In the child, before exec: socket(AF_INET6) fails as on a kernel that was built without it."""
    code = b"".join(struct.pack("=HBBI", *op) for op in [
        (_LOAD, 0, 0, 0),  # the call's number
        (_EQUAL, 0, 3, _SOCKET_CALL),
        (_LOAD, 0, 0, 16),  # its first argument
        (_EQUAL, 0, 1, socket.AF_INET6),
        (_RETURN, 0, 0, _ERRNO | _EAFNOSUPPORT),
        (_RETURN, 0, 0, _ALLOW),
    ])
    program = _Program(len(code) // 8, code)
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or _libc.prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "no seccomp filter")
