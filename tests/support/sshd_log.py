"""Lines as sshd writes them, made for tests."""

from __future__ import annotations


def line(message: str, at: str = "Mar  3 04:05:06", host: str = "gate", program: str = "sshd[812]") -> bytes:
    return f"{at} {host} {program}: {message}\n".encode()


def failed(address: str, user: str = "root", at: str = "Mar  3 04:05:06", port: int = 40_000) -> bytes:
    return line(f"Failed password for {user} from {address} port {port} ssh2", at)


def attack(address: str, times: int, hour: int = 4) -> list[bytes]:
    """Failed passwords of one address, one a second."""
    return [
        failed(address, at=f"Mar  3 {hour:02d}:{second // 60:02d}:{second % 60:02d}", port=40_000 + second)
        for second in range(times)
    ]
