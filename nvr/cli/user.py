"""`nvr user`: accounts from the console, and the passwords cameras want to hear."""

import argparse
import asyncio
import getpass
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import get_args

from nvr.app.data import DataDirectory
from nvr.auth.audit import Audit, Entry
from nvr.auth.password import Hasher
from nvr.auth.state import open_state
from nvr.auth.user import EVERY_CAMERA, RIGHTS, Role, Users, rights_of
from nvr.base.clock import SystemClock
from nvr.base.errors import Misconfigured
from nvr.cli import ask, where
from nvr.config import load


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "user",
        help="accounts, and the passwords of cameras",
        description="Works on the data directory itself, for when the page cannot be reached or "
        "nobody knows a password any more. Accounts can be changed only while the recorder is "
        "stopped, passwords of cameras always. Passwords are asked for, or read from standard "
        "input.",
    )
    where.add_data(parser)
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    what.add_parser("list", help="show all accounts").set_defaults(run=_on_users(_list))
    one = what.add_parser("add", help="make an account with every right its role allows")
    one.add_argument("name")
    one.add_argument("--role", choices=get_args(Role), default="operator")
    one.set_defaults(run=_on_users(_add))
    one = what.add_parser("password", help="give an account a new password")
    one.add_argument("name")
    one.set_defaults(run=_on_users(_password))
    one = what.add_parser("remove", help="remove an account")
    one.add_argument("name")
    one.set_defaults(run=_on_users(_remove))
    one = what.add_parser("camera", help="set the password we log in to a camera with")
    one.add_argument("name", help="name of the camera in nvr.toml")
    one.set_defaults(run=_camera)


def _on_users(
    body: Callable[[Users, argparse.Namespace], Coroutine[None, None, str]],
) -> Callable[[argparse.Namespace], int]:
    def run(chosen: argparse.Namespace) -> int:
        clock = SystemClock()
        hasher = Hasher()
        try:
            with (
                DataDirectory(chosen.data) as data,
                closing(open_state(data.state_path)) as db,
                closing(Audit(data.state_path, clock, hardware_no="console")) as audit,
            ):
                done = asyncio.run(body(Users(db, hasher, clock), chosen))
                if done:
                    who = getpass.getuser()
                    audit.record(
                        Entry("admin-setting", f"console user {chosen.what}", reason=done, who=who)
                    )
        finally:
            hasher.close()
        return 0

    return run


async def _list(users: Users, _chosen: argparse.Namespace) -> str:
    for user in users.all():
        print(f"{user.name}  {user.role}")
    return ""


async def _add(users: Users, chosen: argparse.Namespace) -> str:
    rights = rights_of({EVERY_CAMERA: RIGHTS})
    user = await users.add(chosen.name, chosen.role, ask.secret("password: "), rights)
    print(f"{user.name} is {user.role}")
    return f"{user.name} {user.role}"


async def _password(users: Users, chosen: argparse.Namespace) -> str:
    await users.change(chosen.name, password=ask.secret("new password: "))
    print(f"{chosen.name} has a new password")
    return str(chosen.name)


async def _remove(users: Users, chosen: argparse.Namespace) -> str:
    await users.remove(chosen.name)
    print(f"{chosen.name} is removed")
    return str(chosen.name)


def _camera(chosen: argparse.Namespace) -> int:
    known = {camera.name: camera for camera in load.read(chosen.data / "nvr.toml").camera}
    if chosen.name not in known:
        raise Misconfigured(
            "config.no_camera",
            "nvr.toml has no such camera",
            camera=chosen.name,
            has=", ".join(known),
        )
    load.edit_secrets(
        chosen.data / "secrets.toml", chosen.name, ask.secret(f"password of {chosen.name}: ")
    )
    print("saved; a recorder that runs uses it from its next connection on, within half a minute")
    if not known[chosen.name].user:
        print(f"but nvr.toml names no user of {chosen.name}: without one we do not log in there")
    return 0
