"""Throwaway PostgreSQL servers.

For most callers one context manager is enough (run inside the tools' virtual environment, as `make demo` does):

    from devtools.servers import embedded_server

    with embedded_server(18) as server:                  # PostgreSQL 18 with pgvector; gravity_memory is installed
        server.create_database("demo", extensions=["vector", "gravity_memory"])
        with server.connect("demo") as connection:       # psycopg 3, autocommit, as the superuser
            connection.execute("SELECT count(*) FROM gravity_map")
        server.psql("SELECT 1", database="demo")         # psql of the same major; raises when SQL fails
        print(server.psql_command("demo"))               # what a person types to connect
    # here the server is stopped and its folder is gone

A server listens on 127.0.0.1 at a port that was free, asking for `server.password`, and on a Unix socket in a private
folder, where no password is needed. Nothing of it outlives the `with` block: not after an exception, Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from devtools.cache import run_folder
from devtools.embedded import embedded_installation
from devtools.extension import install_extension
from devtools.installation import Installation
from devtools.process import clean_environment, run

SUPERUSER = "postgres"
START_SECONDS = 60.0
STOP_SECONDS = 60.0

# Sized for a test machine of 2 cores; planner costs stay at PostgreSQL's defaults, so that plans are what users get.
_BASE_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_line_prefix": "%m [%p] %d ",
}
_NO_DURABILITY: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}


class ServerError(Exception):
    """A server did not start or stop, or a client program of its major failed."""


class Server:
    """One PostgreSQL server with a data directory of its own.

    Made by `Server.create`, used as a context manager. `Server.attach` gives a second process (pytest) the same
    methods for a server that the first one started, except starting and stopping it.

    Attributes:
        installation: the programs it runs from.
        folder: its own folder (data directory, socket, log), as seen from outside.
        host, port: where it listens for TCP.
        user, password: the superuser's. Roles that a test creates with this password can `connect(user=...)`.
        cron_database: the only database where pg_cron works, or None without pg_cron.
        was_stopped: it was running until `stop` stopped it.
    """

    host = "127.0.0.1"
    user = SUPERUSER

    def __init__(
        self, installation: Installation, folder: Path, port: int, password: str, cron_database: str | None
    ) -> None:
        self.installation = installation
        self.folder = folder
        self.port = port
        self.password = password
        self.cron_database = cron_database
        self._process: subprocess.Popen[bytes] | None = None
        self.was_stopped = False

    # Making one -------------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        installation: Installation,
        name: str = "server",
        *,
        settings: Mapping[str, str] | None = None,
        preload: Sequence[str] = (),
        cron_database: str | None = None,
        durable: bool = False,
    ) -> Self:
        """Make a data directory in the installation's run folder. The server is not started yet.

        pg_stat_statements is preloaded where the installation has it, unless `settings` say what is.

        Args:
            installation: what to run.
            name: the folder's name inside the run folder.
            settings: lines for postgresql.conf, over the defaults for test servers.
            preload: libraries for shared_preload_libraries.
            cron_database: preload pg_cron and let it work in this database, which is created at the first start.
            durable: keep fsync on, for tests that kill the server.
        """
        password = secrets.token_urlsafe(16)
        server = cls(installation, cls._make_folder(installation, name), free_port(), password, cron_database)
        folder = server.folder
        password_file = folder / "password"
        password_file.write_text(password + "\n")
        installation.account.own(password_file)
        inside = installation.inside(folder)
        run(
            [
                *installation.server_command("initdb"),
                f"--pgdata={inside}/data",
                f"--username={SUPERUSER}",
                f"--pwfile={inside}/password",
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
            doing=f"initdb of PostgreSQL {installation.major}",
            cwd=Path("/"),
        )
        lines = dict(_BASE_SETTINGS)
        lines["unix_socket_directories"] = f"{inside}/socket"
        if not durable:
            lines.update(_NO_DURABILITY)
        libraries = list(preload)
        if installation.has_pg_stat_statements:
            libraries.append("pg_stat_statements")
        if cron_database is not None:
            libraries.append("pg_cron")
            lines["cron.database_name"] = cron_database
            # pg_cron connects as an ordinary client does; over the socket it needs no password.
            lines["cron.host"] = f"{inside}/socket"
        if libraries:
            lines["shared_preload_libraries"] = ",".join(libraries)
        lines.update(settings or {})
        server._configure(lines)
        return server

    @classmethod
    def create_standby(cls, primary: Server, name: str = "standby") -> Self:
        """Copy a running server's data with pg_basebackup. Once started, it follows that server until it is promoted.

        Args:
            primary: the server to follow, with its settings and its password.
            name: the folder's name inside the run folder.
        """
        installation = primary.installation
        folder = cls._make_folder(installation, name)
        inside = installation.inside(folder)
        run(
            [
                *installation.server_command("pg_basebackup"),
                f"--pgdata={inside}/data",
                f"--host={installation.inside(primary.folder)}/socket",
                f"--port={primary.port}",
                f"--username={SUPERUSER}",
                "--checkpoint=fast",
                "--write-recovery-conf",
                "--no-sync",
            ],
            doing=f"pg_basebackup of PostgreSQL {installation.major}",
            cwd=Path("/"),
        )
        server = cls(installation, folder, free_port(), primary.password, primary.cron_database)
        server._configure({"unix_socket_directories": f"{inside}/socket"})
        return server

    @staticmethod
    def _make_folder(installation: Installation, name: str) -> Path:
        """A folder for a server's data, which only its account may enter, with one for its socket."""
        folder = Path(installation.run) / name
        for path in (folder, folder / "socket"):
            path.mkdir()
            installation.account.own(path)
        folder.chmod(0o700)
        return folder

    def _configure(self, lines: Mapping[str, str]) -> None:
        quoted = {name: value.replace("'", "''") for name, value in lines.items()}
        with (self.folder / "data" / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in quoted.items())

    def to_json(self) -> str:
        """For `attach` in another process."""
        return json.dumps(
            {
                "installation": self.installation.to_json(),
                "folder": str(self.folder),
                "port": self.port,
                "password": self.password,
                "cron_database": self.cron_database,
            }
        )

    @classmethod
    def attach(cls, text: str) -> Self:
        """A server that another process started, from its `to_json`."""
        fields = json.loads(text)
        return cls(
            Installation.from_json(fields["installation"]),
            Path(fields["folder"]),
            int(fields["port"]),
            str(fields["password"]),
            fields["cron_database"],
        )

    # Starting and stopping --------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop("immediate" if kind else "fast")

    def start(self) -> None:
        """Start, and return when it accepts connections.

        Raises:
            ServerError: it did not come up; the message carries the end of its log.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            offset = self.log_path.stat().st_size if self.log_path.exists() else 0
            self._launch()
            if self._wait_until_ready(deadline):
                break
            self._process = None
            said = self.log_path.read_bytes()[offset:].decode(errors="replace")
            if time.monotonic() < deadline:
                if "Address already in use" in said:
                    self.port = free_port()
                    continue
                # After kill -9 the old server's last processes may hold its shared memory for a moment.
                if "pre-existing shared memory block" in said or "lock file" in said:
                    time.sleep(0.1)
                    continue
            raise ServerError(f"PostgreSQL {self.installation.major} did not start. Its log says:\n{said}")
        if self.cron_database is not None and not self._database_exists(self.cron_database):
            self.create_database(self.cron_database)

    def _launch(self) -> None:
        data = f"{self.installation.inside(self.folder)}/data"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.installation.server_command("postgres"), "-D", data, "-p", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=clean_environment(),
                cwd="/",
                # Ctrl-C reaches us, and we stop it in order.
                start_new_session=True,
            )

    def _wait_until_ready(self, deadline: float) -> bool:
        assert self._process is not None
        while self._process.poll() is None:
            try:
                self.connect(connect_timeout=5).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    self._process.kill()
                    self._process.wait()
                    return False
                time.sleep(0.02)
            else:
                return True
        return False

    def stop(self, mode: str = "fast") -> None:
        """Stop (`smart`, `fast` or `immediate`) and wait for it. Nothing happens when it is not running.

        Raises:
            ServerError: it had died before, or it does not stop.
        """
        if self._process is None:
            return
        if self._process.poll() is not None:
            code, self._process = self._process.returncode, None
            raise ServerError(f"The server had died (exit code {code}). Its log ends with:\n{self.log_tail(5)}")
        numbers = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self._process.send_signal(numbers[mode])
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise ServerError(f"The server did not stop within {STOP_SECONDS:.0f} s:\n{self.log_tail()}") from None
        else:
            self.was_stopped = True
        finally:
            self._process = None

    def kill(self) -> None:
        """Send the postmaster kill -9, as a crash of the machine would; `start` recovers. Wants `durable=True`."""
        if self._process is None:
            raise ServerError("Only the process that started a server can kill it.")
        self._process.kill()
        self._process.wait()
        self._process = None

    def restart(self, settings: Mapping[str, str] | None = None) -> None:
        """Stop and start again, with further settings if given. Host, port and password stay."""
        self.stop()
        self._configure(settings or {})
        self.start()

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])

    @property
    def log_path(self) -> Path:
        """The server's log."""
        return self.folder / "log"

    def log_tail(self, lines: int = 60) -> str:
        """The end of the server's log."""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    # Using it ---------------------------------------------------------------------------------------------------

    @property
    def has_pg_cron(self) -> bool:
        """pg_cron runs here, in `cron_database`."""
        return self.cron_database is not None

    @property
    def has_pg_stat_statements(self) -> bool:
        """pg_stat_statements is preloaded, and can be created in any database."""
        return self.installation.has_pg_stat_statements

    @property
    def major(self) -> int:
        """PostgreSQL's major version."""
        return self.installation.major

    def parameters(self, database: str = "postgres", user: str | None = None) -> dict[str, Any]:
        """Keyword arguments for psycopg.connect."""
        return {
            "host": self.host,
            "port": self.port,
            "user": user or self.user,
            "password": self.password,
            "dbname": database,
        }

    def connect(
        self, database: str = "postgres", *, user: str | None = None, autocommit: bool = True, **options: Any
    ) -> psycopg.Connection[tuple[Any, ...]]:
        """A psycopg connection over TCP, autocommit unless asked otherwise, as the superuser or as `user`."""
        return psycopg.connect(**self.parameters(database, user), autocommit=autocommit, **options)

    def environment(self, database: str = "postgres", user: str | None = None) -> dict[str, str]:
        """The PG* variables that lead libpq programs to this server; nothing else."""
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": user or self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": database,
            "PGCLIENTENCODING": "UTF8",
        }

    def client(
        self,
        program: str,
        *arguments: str,
        database: str = "postgres",
        user: str | None = None,
        input: bytes | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a client program of the same major (pg_dump, pg_restore, psql, pgbench, ...) against this server.

        Hand data over by standard input and output: a server that lives in a folder of its own sees other files.

        Raises:
            ServerError: the program failed and `check` is true; the message carries its standard error.
        """
        done = subprocess.run(
            [*self.installation.command(program), *arguments],
            env=clean_environment(self.environment(database, user)),
            cwd="/",
            input=input if input is not None else b"",
            capture_output=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise ServerError(
                f"{program} {shlex.join(arguments)} failed with exit code {done.returncode}:\n"
                f"{done.stderr.decode(errors='replace')}{done.stdout.decode(errors='replace')[-2000:]}"
            )
        return done

    def psql(
        self, script: str, *arguments: str, database: str = "postgres", user: str | None = None, check: bool = True
    ) -> str:
        """Run a script with psql, stopping at the first error, and return its unaligned output.

        Raises:
            ServerError: SQL failed and `check` is true.
        """
        options = ("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", "--file=-")
        done = self.client(
            "psql", *options, *arguments, database=database, user=user, input=script.encode(), check=check
        )
        return done.stdout.decode()

    def psql_command(self, database: str = "postgres") -> str:
        """What a person types on this machine to connect while the server runs."""
        socket_folder = f"{self.installation.inside(self.folder)}/socket"
        options = ["-h", socket_folder, "-p", str(self.port), "-U", self.user, database]
        return shlex.join([*self.installation.command("psql"), *options])

    def create_database(self, name: str, *, extensions: Sequence[str] = (), template: str = "template1") -> None:
        """Create a database, and the extensions in it, in the order given."""
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
            )
        if extensions:
            with self.connect(name) as connection:
                for extension in extensions:
                    connection.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(extension)))

    def drop_database(self, name: str) -> None:
        """Drop a database if it is there, ending its sessions."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _database_exists(self, name: str) -> bool:
        with self.connect() as connection:
            found = connection.execute("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", (name,))
            return found.fetchone() is not None


@contextlib.contextmanager
def embedded_server(
    major: int = 18,
    *,
    extension: bool = True,
    settings: Mapping[str, str] | None = None,
    durable: bool = False,
    folder: Callable[[], AbstractContextManager[Path]] = run_folder,
) -> Iterator[Server]:
    """A running server from the PyPI package: PostgreSQL 16 or 18 with pgvector, no root and no apt needed.

    It runs from a copy made for this run, so installing into it changes nothing else.

    Args:
        major: 16 or 18.
        extension: build gravity_memory from this checkout and install it.
        settings: lines for postgresql.conf.
        durable: keep fsync on.
        folder: makes the folder where it lives.

    Raises:
        SetupError: the package is missing or the extension could not be installed.
        ServerError: the server did not start.
    """
    with folder() as made:
        installation = embedded_installation(major, made)
        if extension:
            install_extension(installation)
        with Server.create(installation, settings=settings, durable=durable) as server:
            yield server


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stop_on_terminate() -> None:
    """Turn SIGTERM and SIGHUP into an exception, so that `with` blocks stop their servers."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
