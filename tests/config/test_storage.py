"""Where the state is kept: files, and the URLs of databases, whose passwords nobody is shown."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.config.storage import Storage, storage
from tests.config.support import SMALL, Folder

FORMS = "must be sqlite:////path/of/a/file or postgresql://user@host/database"


def refused(written: str) -> str:
    with pytest.raises(ValueError, match=r".") as wrong:
        storage(written)
    said = str(wrong.value)
    assert "hunter2" not in said
    assert "{it}" not in said  # which would be shown as written
    return said


@pytest.mark.parametrize(
    ("written", "path"), [("sqlite:////var/s.db", "/var/s.db"), ("sqlite:///state.db", "state.db")]
)
def test_a_file(written: str, path: str) -> None:
    assert storage(written) == Storage(Path(path))


@pytest.mark.parametrize("written", ["", "sqlite:///", "sqlite://", "state.db", "mysql://root:hunter2@h"])
def test_nothing_else(written: str) -> None:
    assert refused(written) == FORMS


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/radius",
        "postgresql://radius@db.example.org:5433/radius",
        "postgresql:///radius",
        "postgresql:///radius?host=/var/run/postgresql",
        "postgresql:///radius?host=/var/run/postgresql&port=5433",
        "postgresql://radius@[2001:db8::1]:5432/radius?sslmode=verify-full",
        "postgresql://one,two:5433/radius?target_session_attrs=read-write",
        "postgresql://d%C3%BC@db/r%20s",
    ],
)
def test_a_database(url: str) -> None:
    assert storage(url) == Storage(url=url)


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("postgresql://radius:hunter2@db/radius", "postgresql://radius@db/radius"),
        ("postgresql://radius@db/radius?password=hunter2", "postgresql://radius@db/radius"),
        ("postgresql://radius:hunter2@db/r?sslmode=require", "postgresql://radius@db/r?sslmode=require"),
        ("postgresql://radius:hunte%72%32@db/radius", "postgresql://radius@db/radius"),
    ],
)
def test_a_password_is_taken_out_of_the_url(written: str, url: str) -> None:
    found = storage(written)
    assert found.url == url
    assert found.password is not None
    assert found.password.reveal() == "hunter2"
    assert "hunter2" not in f"{found} {found!r}"


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("postgresql://", "must name a database: postgresql://user@host/database"),
        ("postgresql://radius:hunter2@db", "must name a database: postgresql://user@host/database"),
        ("postgresql://radius:hunter2@db/a/b", "must name a database: postgresql://user@host/database"),
        ("postgresql://a hunter2/b", "has characters in it that no URL has; write them as %20"),
        (
            "postgresql://radius:hunter2#@db/x",
            "has # or another @ in it: in a password these are %23, %40, and / is %2F",
        ),
        (
            "postgresql://radius:hunter2@@db/x",
            "has # or another @ in it: in a password these are %23, %40, and / is %2F",
        ),
        ("postgresql://[::1/x", FORMS),
        (
            "postgresql://radius:hunter2@db:x/radius",
            "must have hosts such as db.example.org:5432 with commas between, or the path of a socket",
        ),
        ("postgresql://db:0/radius", "must have a port from 1 to 65535"),
        ("postgresql://db:65536/radius", "must have a port from 1 to 65535"),
        (
            "postgresql://db,/radius",
            "must have hosts such as db.example.org:5432 with commas between, or the path of a socket",
        ),
        ("postgresql://db/r?port=five", "port must have a port from 1 to 65535"),
        (
            "postgresql://db/r?sslmode=on",
            "sslmode must be disable, allow, prefer, require, verify-ca or verify-full",
        ),
        ("postgresql://db/r?sslmode=require&sslmode=require", "sslmode is given twice; remove one"),
        ("postgresql://db/r?host=other", "host is given before the database already; remove one"),
        (
            "postgresql://db/r?target_session_attrs=standby",
            "target_session_attrs must be any, primary or read-write",
        ),
        ("postgresql://db/r?sslrootcert=", "sslrootcert is empty"),
        ("postgresql://radius:hunter2@db/r?password=hunter3", "must have one password, or none"),
        ("postgresql://radius:@db/r", "must have one password, or none"),
        ("postgresql://db/r?", ""),
    ],
)
def test_a_url_that_makes_no_sense(written: str, why: str) -> None:
    if why:
        assert refused(written) == why
    else:
        assert storage(written).url == written.removesuffix("?")


@pytest.mark.parametrize("key", ["statement_timeout", "sslpassword", "service", "hunter2%20", "%7Bit%7D"])
def test_what_it_does_not_know_it_does_not_pass_on(key: str) -> None:
    assert "is not known after ?; here can stand host, port, sslmode" in refused(
        f"postgresql://db/r?{key}=1"
    ).replace("hunter2", "")


@given(
    st.one_of(st.text(), st.text(alphabet="postgresql:/@?&=%,[]#.0123456789{}it ").map("postgresql://".__add__))
)
def test_is_read_or_refused_whatever_it_is(written: str) -> None:
    with suppress(ValueError):
        found = storage(written)
        assert storage(found.url or f"sqlite:///{found.path}").url == found.url


class TestInAFile:
    """As the YAML has it."""

    def test_a_password_is_shown_nowhere(self, folder: Folder) -> None:
        text = SMALL + "storage: postgresql://radius:hunter2@127.0.0.1/radius\n"
        loaded = folder.load(text)
        assert "hunter2" not in f"{loaded} {loaded.configuration!r} {loaded.configuration.storage.url}"
        for wrong in ("?sslmode=on", "?hunter2{it}=1", "/hunter2", "?sslrootcert=hunter2{it}"):
            (problem,) = folder.problems(text.replace("/radius\n", f"/radius{wrong}\n"))
            assert problem.startswith("14: storage: ")
            assert "hunter2" not in problem

    def test_a_password_may_stand_beside_it(self, folder: Folder) -> None:
        (folder.path / "password").write_text("hunter2\n")
        (folder.path / "password").chmod(0o600)
        url = SMALL + "storage: postgresql://radius@127.0.0.1/radius\n"
        for line in ("storage_password: hunter2\n", "storage_password_file: password\n"):
            found = folder.load(url + line).configuration
            assert found.storage_password is not None
            assert found.storage_password.reveal() == "hunter2"
            assert "hunter2" not in repr(found)

    def test_a_password_is_of_a_database_and_given_once(self, folder: Folder) -> None:
        line = "storage_password: hunter2\n"
        assert folder.problems(SMALL + line) == [
            "14: storage_password: belongs to storage: postgresql://…; remove it"
        ]
        assert folder.problems(SMALL + "storage: sqlite:///s.db\n" + line) == [
            "15: storage_password: belongs to storage: postgresql://…; remove it"
        ]
        assert folder.problems(SMALL + "storage: postgresql://a:b@127.0.0.1/c\n" + line) == [
            "15: storage_password: is in the URL of storage too; remove one of the two"
        ]
        assert folder.problems(SMALL + "storage: ${NOT_SET}\n" + line) == [
            "14: storage: the environment variable NOT_SET is not set"
        ]

    def test_files_are_beside_the_yaml_and_can_be_read(self, folder: Folder) -> None:
        (folder.path / "ca.pem").write_text("")
        text = SMALL + "storage: postgresql://radius@db/radius?sslmode=verify-full&sslrootcert=ca.pem\n"
        url = folder.load(text).configuration.storage.url
        assert url == f"postgresql://radius@db/radius?sslmode=verify-full&sslrootcert={folder.path}/ca.pem"
        assert folder.problems(text.replace("ca.pem", "cb.pem")) == [
            "14: storage: sslrootcert cannot be read: No such file or directory"
        ]

    @pytest.mark.parametrize(
        ("where", "warned"),
        [
            ("radius@db/radius", True),
            ("radius@192.0.2.1/radius?sslmode=prefer", True),
            ("radius@127.0.0.1,db:5433/radius", True),
            ("/radius?host=db", True),
            ("radius@db/radius?sslmode=require", False),
            ("radius@127.0.0.1:5433/radius", False),
            ("radius@[::1]/radius", False),
            ("/radius", False),
            ("/radius?host=/var/run/postgresql", False),
        ],
    )
    def test_what_goes_over_the_network_in_clear_is_warned_of(
        self, folder: Folder, where: str, warned: bool
    ) -> None:
        said = "14: storage: is not encrypted on its way: add ?sslmode=verify-full&sslrootcert=… to it"
        assert folder.warnings(SMALL + f"storage: postgresql://{where}\n") == [said] * warned

    def test_it_can_be_used(self, folder: Folder) -> None:
        assert folder.problems(SMALL + "storage: postgresql://127.0.0.1/radius\n", usable=True) == []
