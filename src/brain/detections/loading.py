"""Reads detections: those that come with this package, and those of the operator's files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from brain.detections.models import Correlation, Detection, Problem, Rule, Tree
from brain.errors import InvalidInput
from brain.extras import needs
from brain.kit.documents import FAULTS, yaml_loader
from brain.typed import ready

SUFFIXES = (".yml", ".yaml")
TESTS = ".test"
"""Before the suffix of a file that holds the test cases of the rules beside it."""
LARGEST = 4 << 20
"""Bytes of a file of rules at most."""


class Loaded(msgspec.Struct, frozen=True):
    """Detections whose references lead to each other, and what could not be loaded."""

    detections: Sequence[Detection]
    problems: Sequence[Problem]

    @property
    def rules(self) -> list[Rule]:
        """Those on single events."""
        return [one for one in self.detections if isinstance(one, Rule)]

    @property
    def correlations(self) -> list[Correlation]:
        """Those on several."""
        return [one for one in self.detections if isinstance(one, Correlation)]


def shipped() -> list[Detection]:
    """The detections of this package, as they were compiled from its rules: reading them needs no parser."""
    data = files("brain.detections").joinpath("rules", "compiled.json").read_bytes()
    return msgspec.json.decode(data, type=ready(list[Detection]))


def shipped_folder() -> Path:
    """The folder of the rules and test cases that `shipped` was made from."""
    return Path(str(files("brain.detections").joinpath("rules")))


def load(paths: Sequence[Path], *, with_shipped: bool, without: Iterable[str] = ()) -> Loaded:
    """The detections in these files and folders; `without` names some that are left out, by id or name.

    A detection of a file takes the place of a shipped one of its id. Raises InvalidInput for a path that is not there,
    MissingExtra without the parser.
    """
    own, problems = read_files(find_files(paths)) if paths else ([], [])
    keys = {one.about.key for one in own}
    found = [*(one for one in shipped() if with_shipped and one.about.key not in keys), *own]
    return link(leave_out(found, without), problems)


def leave_out(found: Sequence[Detection], without: Iterable[str]) -> list[Detection]:
    """Those that are not named, by id or name. Raises InvalidInput for a name that none has."""
    unwanted = set(without)
    known = {name for one in found for name in (one.about.key, one.about.name)}
    if missing := unwanted - known:
        raise InvalidInput(f"detections: disabled names {', '.join(sorted(missing))}, which no detection has")
    return [one for one in found if not {one.about.key, one.about.name} & unwanted]


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The files of rules among these and in these folders, without those of test cases. Raises InvalidInput."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.suffix in SUFFIXES and one.is_file())
            found += [one for one in inside if not one.stem.endswith(TESTS)]
        elif path.is_file():
            found.append(path)
        else:
            raise InvalidInput(f"{path}: is no file or folder; give one with rules in YAML")
    return found


def read_files(paths: Sequence[Path]) -> tuple[list[Detection], list[Problem]]:
    """The detections of these files, not yet linked, and what is wrong with the files."""
    from brain.detections.own_documents import is_own, parse_own
    from brain.detections.sigma_parser import parse_documents

    found: list[Detection] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            documents = [one for one in read_yaml(path) if one is not None]
        except InvalidInput as error:
            problems.append(Problem(str(path), "", str(error)))
            continue
        for made in [parse_own(one, str(path)) for one in documents if is_own(one)]:
            if isinstance(made, Problem):
                problems.append(made)
            else:
                found.append(made)
        if sigma := [one for one in documents if not is_own(one)]:
            detections, faults = parse_documents(sigma, str(path))
            found += detections
            problems += faults
    return found, problems


def read_yaml(path: Path) -> list[Any]:
    """The documents of a file. Raises InvalidInput."""
    with needs("detections: reading rules", "yaml"):
        import yaml
    try:
        data = path.read_bytes()
        if len(data) > LARGEST:
            raise InvalidInput(f"has more than {LARGEST} bytes; divide it")
        return list(yaml.load_all(data, Loader=yaml_loader()))
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, *FAULTS) as error:
        raise InvalidInput(f"is no YAML: {' '.join(str(error).split())[:300]}") from error


def link(found: Sequence[Detection], problems: Sequence[Problem]) -> Loaded:
    """Turn references by name into keys; what refers to nothing, or to itself, is left out with a problem."""
    faults = [*problems]
    by_key: dict[str, Detection] = {}
    for one in found:
        if (other := by_key.setdefault(one.about.key, one)) is not one:
            faults.append(Problem(one.about.path, one.about.title, f"has the id of {other.about.title!r}"))
    keys = {name: key for key, one in by_key.items() for name in (one.about.name, key)}
    linked: dict[str, Detection] = {}
    silent: set[str] = set()

    def place(one: Detection, above: tuple[str, ...]) -> bool:
        """Whether it could be linked, after all that it refers to: those come first."""
        key = one.about.key
        if key in linked:
            return True
        if isinstance(one, Rule):
            linked[key] = one
            return True
        names = [*one.rules, *((one.unless,) if one.unless else ())]
        for name in names:
            target = by_key.get(keys.get(name, ""))
            if target is None or target.about.key in (*above, key) or not place(target, (*above, key)):
                why = "is not there" if target is None else "refers back to it, or cannot be used itself"
                faults.append(Problem(one.about.path, one.about.title, f"refers to {name!r}, which {why}"))
                return False
        linked[key] = _with_keys(one, keys)
        if not one.generate:
            silent.update(keys[name] for name in names)
        return True

    for one in by_key.values():
        place(one, ())
    return Loaded([_quiet(one) if key in silent else one for key, one in linked.items()], faults)


def _quiet(one: Detection) -> Detection:
    return msgspec.structs.replace(one, about=msgspec.structs.replace(one.about, reports=False))


def _with_keys(one: Correlation, keys: Mapping[str, str]) -> Correlation:
    aliases = {
        alias: {keys.get(name, name): field for name, field in fields.items()} for alias, fields in one.aliases.items()
    }
    return msgspec.structs.replace(
        one,
        rules=tuple(keys[name] for name in one.rules),
        aliases=aliases,
        expression=_renamed(one.expression, keys),
        unless=None if one.unless is None else keys[one.unless],
    )


def _renamed(tree: Tree, keys: Mapping[str, str]) -> Tree:
    if tree is None or isinstance(tree, str):
        return None if tree is None else keys[tree]
    return (tree[0], tuple(_renamed(one, keys) for one in tree[1]))
