"""A configuration that another process works under, exactly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.config.load import Loaded, load_usable
from radius_mfa.config.snapshot import frozen, thawed
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.data import CONFIG
from tests.config.support import DICTIONARY, HASH, SMALL, Folder, client, radsec, shipped
from tests.peers.certificates import Authority

CONTRACT = Path(__file__).with_name("contract.yaml")
ENVIRONMENT = {
    **dict.fromkeys(("VPN_SECRET", "OLD_VPN_SECRET", "WIFI_SECRET", "LAB_SECRET"), "0123456789abcdef"),
    **dict.fromkeys(("LDAP_PASSWORD", "SMTP_PASSWORD"), "0123456789abcdef"),
    "LAB_PASSWORD": HASH,
    "DEMO_LISTEN": "127.0.0.1:0",
    "DEMO_SECRET": "fedcba9876543210",
    "DEMO_PASSWORD": HASH,
    "DEMO_SMTP": "smtp://127.0.0.1:2525",
    "DEMO_STORAGE": "postgresql://radius:hunter2@127.0.0.1/radius",
    "DEMO_KEY_FILE": "key",
    "DEMO_AUDIT": "audit.jsonl",
}


def loaded(file: Path, environment: Mapping[str, str] = ENVIRONMENT) -> Loaded:
    return load_usable(file, environment, DICTIONARY)


def assert_same(found: Loaded) -> None:
    """That another process has it as this one has, and can pass it on."""
    other = thawed(frozen(found), DICTIONARY)
    assert other.configuration == found.configuration
    assert other.warnings == found.warnings
    assert other.places == found.places
    assert other.secret_files == found.secret_files
    assert other.document == found.document
    assert frozen(other) == frozen(found)


@pytest.mark.parametrize("name", sorted(each.name for each in CONFIG.glob("*.yaml")))
def test_the_examples_are_the_same(folder: Folder, name: str) -> None:
    assert_same(loaded(shipped(folder, name)))


def test_the_contracts_own_block_is_the_same(folder: Folder) -> None:
    authority = Authority(folder.path / "ours")
    own = authority.certify("radius.example.org").read_bytes()
    for name in ("server.pem", "server.key", "clients.pem", "ca.pem", "eap.pem", "eap.key"):
        folder.write(name, own)
    found = loaded(folder.write("contract.yaml", CONTRACT.read_text()))
    assert found.configuration.eap is not None
    assert found.warnings
    assert_same(found)


def test_radsec_and_secrets_in_files_are_the_same(folder: Folder) -> None:
    authority = Authority(folder.path / "ours")
    folder.write("server.pem", authority.certify("radius.example.org", expired=True).read_bytes())
    folder.write("ca.pem", authority.ca_file.read_bytes())
    for name in ("one", "two"):
        folder.write(name, f"the secret in file {name}\n")
    text = radsec().replace("secret: 0123456789abcdef", "secret_file: [one, two]")
    found = loaded(folder.write(folder.file.name, text))
    assert [each.partition("expired")[1] for each in found.warnings] == ["expired"]
    assert len(found.secret_files) == 2
    assert_same(found)


def test_it_does_not_matter_what_has_become_of_the_file(folder: Folder) -> None:
    folder.write("secret", "0123456789abcdef")
    text = SMALL.replace("secret: 0123456789abcdef", "secret_file: secret").replace(HASH, "${HASH}")
    found = loaded(folder.write(folder.file.name, text), {"HASH": HASH})
    octets = frozen(found)
    folder.write("secret", "another secret than it was")
    folder.file.write_text("no: configuration\n")
    assert thawed(octets, DICTIONARY).configuration == found.configuration


def test_what_was_said_of_the_file_is_still_said(folder: Folder) -> None:
    """That it is open to everybody is seen only where it is read."""
    found = loaded(folder.write(folder.file.name, SMALL, 0o644))
    octets = frozen(found)
    folder.file.unlink()
    assert len(found.warnings) == 1
    assert thawed(octets, DICTIONARY).warnings == found.warnings


def test_relative_paths_stay_where_they_were(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.path)
    folder.write(folder.file.name, SMALL + "key_file: key\nstorage: sqlite:///state.db\n")
    found = loaded(Path(folder.file.name))
    octets = frozen(found)
    monkeypatch.chdir("/")
    assert thawed(octets, DICTIONARY).configuration == found.configuration
    assert found.configuration.key_file == folder.path / "key"


def test_what_has_become_wrong_since_is_refused_as_it_would_be_in_the_file(folder: Folder) -> None:
    authority = Authority(folder.path / "ours")
    folder.write("server.pem", authority.certify("radius.example.org").read_bytes())
    ca_file = folder.write("ca.pem", authority.ca_file.read_bytes())
    octets = frozen(loaded(folder.write(folder.file.name, radsec())))
    ca_file.unlink()
    with pytest.raises(ConfigurationError) as wrong:
        thawed(octets, DICTIONARY)
    assert wrong.value.problems == (
        f'{folder.file}:2: listen[0].client_ca: "ca.pem" cannot be read: No such file or directory',
    )


# What a text may be in YAML's own quotes: anything that prints, in JSON's spelling of it.
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def anywhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("snapshot") / "any.yaml"


@given(
    secret=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    names=st.lists(TEXTS, min_size=1, max_size=4),
    contact=TEXTS,
    trusted=st.booleans(),
    retries=st.integers(0, 20),
)
def test_small_ones_are_the_same(
    anywhere: Path, secret: str, names: list[str], contact: str, trusted: bool, retries: int
) -> None:
    def quoted(text: str) -> str:
        return "'" + text.replace("'", "''") + "'"

    groups = ", ".join(map(quoted, names))
    text = client(f"groups: [{groups}]", f"retries: {retries}", "station: mac")
    text = text.replace("0123456789abcdef", "${SECRET}") + f"    trust_device: {str(trusted).lower()}\n"
    classes = groups.replace("{", "{{").replace("}", "}}")  # a brace itself
    text += f"    reply: {{Class: [{classes}]}}\ncontact: {quoted(contact)}\n"
    anywhere.write_text(text, "utf-8")
    anywhere.chmod(0o644 if trusted else 0o600)
    assert_same(loaded(anywhere, {"SECRET": secret}))
