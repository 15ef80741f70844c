"""Which profiles there are, and what a client with one of them will never see work."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from radius_mfa.config.document import EACH, Document, KeyPath
from radius_mfa.config.model import Client, Configuration
from radius_mfa.config.profiles import GATEWAYS, GENERIC, Gateway


def check_profiles(document: Document) -> None:
    """Report profiles that there are not, and names that are taken."""
    own = document.at(("profiles",))
    names = list(own) if isinstance(own, dict) else []
    for name in filter(GATEWAYS.__contains__, names):
        text = "is a profile that is shipped, and stays as it is; take another name, and like: {it}"
        document.report(text.replace("{it}", name), "profiles", name)
    for name in names:
        _known(document, ("profiles", name, "like"), GATEWAYS)
    readable = isinstance(own, dict) or not document.has("profiles")
    for path in document.each("clients", EACH, "profile") if readable else ():
        _known(document, path, [*GATEWAYS, *names])


def _known(document: Document, path: KeyPath, names: Iterable[str]) -> None:
    written = document.at(path)
    if not isinstance(written, str) or written in names:
        return
    near = difflib.get_close_matches(written, list(names), n=1)
    hint = f"; did you mean {near[0]}?" if near and path not in document.hidden else ";"
    document.report(f"there is no profile {document.written(path)}{hint} there are {', '.join(names)}", *path)


@dataclass(frozen=True, slots=True)
class Written:
    """What is written of a client's patience: of itself, else in its own profile; and what is shipped."""

    timeout: object
    retries: object
    gateway: Gateway

    @classmethod
    def of(cls, document: Document, client: KeyPath) -> Written:
        """Of the client at that path; the usual gateway where its profile is none."""
        name = document.at((*client, "profile"))
        profile: KeyPath = ("profiles", name if isinstance(name, str) else "")
        holders = {key: client if document.has(*client, key) else profile for key in ("timeout", "retries")}
        known = [each for each in (name, document.at((*profile, "like"))) if isinstance(each, str)]
        return cls(
            document.at((*holders["timeout"], "timeout")),
            document.at((*holders["retries"], "retries")),
            next((GATEWAYS[each] for each in known if each in GATEWAYS), GATEWAYS[GENERIC]),
        )


def warn_of_profiles(document: Document, configuration: Configuration) -> None:
    """Note gateways whose every request would be dropped, and profiles with which nobody gets in, or hardly."""
    for at, client in enumerate(configuration.clients):
        _warn_of_client(document, ("clients", at), client, configuration.gateway_of(client))
    for name, own in configuration.profiles.items():
        suffix = own.named(name).profile.suffix
        if GATEWAYS[own.like].shows_challenge is False and suffix is None:
            text = f"{own.like} takes an Access-Challenge for a refusal, so nobody can log in; leave suffix out"
            document.warn(text, "profiles", name, "suffix")
        if isinstance(suffix, str) and suffix != "," and configuration.messages is None:
            text = (
                "users are told to type a comma; word that anew for this profile in a folder of your own: messages"
            )
            document.warn(text, "profiles", name, "suffix")


def _warn_of_client(document: Document, path: KeyPath, client: Client, gateway: Gateway) -> None:
    if gateway.signs is False and client.message_authenticator == "require" and client.secret:
        text = (
            f"{gateway.profile.name} sends no Message-Authenticator, and every request without one is dropped; "
            "take auto"
        )
        document.warn(text, *path, "message_authenticator")
