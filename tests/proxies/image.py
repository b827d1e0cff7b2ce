"""Builds what a Dockerfile says, without a container engine.

The image is a root of its own, in a mount namespace of its own (mount_namespaces(7)). In place of
the files of ``FROM`` it has those of this machine, which it cannot change.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

#: Makes the root, and goes on there with what is on standard input. Needs root's rights.
ROOT = """\
set -eu
mount -t tmpfs -o mode=755 image /mnt
for path in /*; do
  if [ -L "$path" ] || [ -f "$path" ]; then
    cp -a "$path" "/mnt$path"
  elif [ "$path" != /mnt ]; then
    mkdir "/mnt$path"
    mount --rbind "$path" "/mnt$path"
    case $path in
      /dev|/proc|/sys) ;;
      *) mount -o remount,bind,ro "/mnt$path" ;;
    esac
  fi
done
umount -l /mnt/etc /mnt/tmp
cp -a /etc /mnt
chmod 1777 /mnt/tmp
# Where the checkout, or Python, lies below /tmp.
for path in $PRIVATE; do
  if [ ! -e "/mnt$path" ]; then
    mkdir -p "/mnt$path"
    mount --rbind "$path" "/mnt$path"
    mount -o remount,bind,ro "/mnt$path"
  fi
done
exec chroot /mnt sh -eux /dev/stdin
"""

#: The sets that say what a process may do beside its user's rights (capabilities(7)).
CAPABILITIES = ("bounding-set", "inh-caps", "ambient-caps")


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """Return the instructions and their arguments, in order."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile, flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines) if name]


def steps(dockerfile: str, files: Path) -> str:
    """Return the instructions as lines of shell, of which the last becomes the image's process.

    Args:
        dockerfile: its text.
        files: the folder whose files are copied.
    """
    lines = []
    user = "root"
    for name, rest in instructions(dockerfile):
        if name == "RUN":
            lines.append(f"( {rest} )")
        elif name == "COPY":
            copied, target = rest.split()
            text = shlex.quote((files / copied).read_text(encoding="utf-8"))
            lines += [f"mkdir -p {target}", f"printf %s {text} >{target}{copied}"]
        elif name == "USER":
            user = rest
        elif name == "CMD":
            # Here, Python may lie in a private folder: to read is allowed everywhere, to write not.
            read = " ".join(f"--{which}=-all,+dac_read_search" for which in CAPABILITIES)
            who = f"--reuid={user} --regid=$(id -g {user}) --init-groups"
            lines.append(f"exec setpriv {who} {read} {shlex.join(json.loads(rest))}")
        else:
            assert name in ("FROM", "VOLUME", "EXPOSE"), name
    return "\n".join(lines) + "\n"


def can_build() -> bool:
    """Tell whether this process may make namespaces."""
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL).returncode == 0


def start(dockerfile: str, files: Path, log: Path) -> subprocess.Popen[bytes]:
    """Build an image and start it.

    Args:
        dockerfile: its text. It can install only what is installed here.
        files: the folder whose files are copied.
        log: for what the steps and the process say.
    """
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    # No index is asked: what is missing here is an error.
    private = f"{Path(__file__).parents[2]} {sys.prefix} {sys.base_prefix}"
    environment = {
        **{"PATH": path, "PRIVATE": private},
        **{"HOME": "/", "PIP_NO_INDEX": "1", "PYTHONWARNINGS": "ignore"},
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", ROOT],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd="/",
        )
    assert process.stdin is not None
    with process.stdin:
        process.stdin.write(steps(dockerfile, files).encode())
    return process
