"""A database server that a test starts, restarts and kills: with its own data, on a free port."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from tests.processes import PATIENCE_SECONDS, wait_until

DATABASE = "whizbang"


class OwnServer(ABC):
    """What it has told a client to be committed survives `kill()`, too."""

    # What must be installed, and the account that runs it where a test runs as root: these servers refuse to.
    programs: ClassVar[tuple[str, ...]]
    account: ClassVar[str]
    # Names of the variables in tests/settings.py that say where it is and who logs in.
    address: ClassVar[tuple[str, ...]]

    def __init__(self, folder: Path) -> None:
        """`folder` is empty and the server's alone: as root it is given to the account."""
        self.port = find_free_port()
        self._data, self._log = folder / "data", folder / "server.log"
        self._data.mkdir(mode=0o700)
        self._log.touch()
        self._as_account: dict[str, Any] = {}
        if os.geteuid() == 0:
            group = pwd.getpwnam(self.account).pw_gid
            self._as_account = {"user": self.account, "group": group, "extra_groups": []}
            for path in (folder, self._data, self._log):
                shutil.chown(path, self.account, group)

    @classmethod
    def missing(cls) -> list[str]:
        """What is not installed of what it takes."""
        absent = [name for name in cls.programs if cls.find(name) is None]
        return absent if os.geteuid() or _exists(cls.account) else [*absent, f"user {cls.account}"]

    @classmethod
    @abstractmethod
    def find(cls, program: str) -> str | None:
        """Where a program of this product is."""

    @abstractmethod
    def set_up(self) -> None:
        """Make the data directory, start, and make an empty database."""

    @abstractmethod
    def start(self) -> None:
        """Gives back once it takes connections."""

    @abstractmethod
    def shut_down(self) -> None:
        """In order, though clients are connected."""

    @abstractmethod
    def kill(self) -> None:
        """Without a chance to write anything any more."""

    @property
    @abstractmethod
    def is_running(self) -> bool:
        """Whether there is something to stop."""

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """For a process with tests/settings.py that shall work on it."""

    @property
    @abstractmethod
    def connection_settings(self) -> dict[str, Any]:
        """For Django's DATABASES, beside those of the run's own server."""

    def run(self, program: str, *arguments: object) -> None:
        found = self.find(program)
        assert found is not None
        done = subprocess.run(
            [found, *map(str, arguments)],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            **self._as_account,
        )
        assert done.returncode == 0, done.stdout + done.stderr + self._log.read_text()


class OwnPostgres(OwnServer):
    programs = ("initdb", "pg_ctl")
    account = "postgres"

    @classmethod
    def find(cls, program: str) -> str | None:
        folders = [os.environ.get("PATH", "")]
        if config := shutil.which("pg_config"):
            done = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True)
            folders.append(done.stdout.strip())
        folders += sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
        return shutil.which(program, path=os.pathsep.join(folders))

    def set_up(self) -> None:
        options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")
        self.run("initdb", f"--pgdata={self._data}", *options)
        with (self._data / "postgresql.conf").open("a") as configuration:
            configuration.write(
                f"listen_addresses = '127.0.0.1'\nport = {self.port}\n"
                "unix_socket_directories = ''\nfsync = on\nsynchronous_commit = on\n"
            )
        self.start()
        import psycopg

        url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(url, autocommit=True) as session:
            session.execute(f"CREATE DATABASE {DATABASE}")

    def start(self) -> None:
        self._control("start", f"--log={self._log}")

    def shut_down(self) -> None:
        self._control("stop", "--mode=fast")

    def kill(self) -> None:
        """All its processes end at once, and the next start recovers from the log.

        SIGKILL for the first process alone would leave the others with the shared memory for a while.
        """
        self._control("stop", "--mode=immediate")

    @property
    def is_running(self) -> bool:
        return (self._data / "postmaster.pid").exists()

    def _control(self, *arguments: str) -> None:
        self.run("pg_ctl", f"--pgdata={self._data}", "--wait", *arguments)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "WHIZBANG_TEST_DB": "postgres",
            "WHIZBANG_TEST_DB_NAME": DATABASE,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGPASSWORD": "",
        }

    @property
    def connection_settings(self) -> dict[str, Any]:
        return {"HOST": "127.0.0.1", "PORT": self.port, "NAME": DATABASE, "USER": "postgres"}


class OwnMariadb(OwnServer):
    programs = ("mariadbd", "mariadb-install-db")
    account = "mysql"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def find(cls, program: str) -> str | None:
        folders = (os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")
        return shutil.which(program, path=os.pathsep.join(folders))

    @property
    def _places(self) -> tuple[str, str]:
        return f"--datadir={self._data}", f"--tmpdir={self._data}"

    def set_up(self) -> None:
        options = ("--auth-root-authentication-method=normal", "--skip-test-db")
        self.run("mariadb-install-db", "--no-defaults", *self._places, *options)
        self.start()
        session = self._connect()
        session.cursor().execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        session.close()

    def start(self) -> None:
        command = [
            str(self.find("mariadbd")),
            "--no-defaults",
            *self._places,
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            f"--socket={self._data}/s",
            "--innodb-flush-log-at-trx-commit=1",
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd="/", stdout=log, stderr=subprocess.STDOUT, **self._as_account
            )
        wait_until(self._answers)

    def shut_down(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(PATIENCE_SECONDS)

    def _answers(self) -> bool:
        import MySQLdb

        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            self._connect().close()
        except MySQLdb.OperationalError:
            return False
        return True

    def _connect(self) -> Any:
        import MySQLdb

        return MySQLdb.connect(host="127.0.0.1", port=self.port, user="root", connect_timeout=3)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "WHIZBANG_TEST_DB": "mariadb",
            "WHIZBANG_TEST_DB_NAME": DATABASE,
            "WHIZBANG_TEST_MARIADB": f"127.0.0.1:{self.port}",
            "WHIZBANG_TEST_MARIADB_USER": "root",
            "WHIZBANG_TEST_MARIADB_PASSWORD": "",
        }

    @property
    def connection_settings(self) -> dict[str, Any]:
        return {"HOST": "127.0.0.1", "PORT": self.port, "NAME": DATABASE, "USER": "root"}


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _exists(account: str) -> bool:
    return any(entry.pw_name == account for entry in pwd.getpwall())
