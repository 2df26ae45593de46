"""The composed configuration of one command: keys checked, values plain."""

import difflib
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from adrs.nulls import COMPANIONS, RECIPES
from adrs.resources import folder
from adrs.values import MISSING, SettingsError, fitting
from evaluators.problems import names

__all__ = [
    "Arguments",
    "Settings",
    "SettingsError",
    "defaults",
    "groups",
    "jobs",
    "settings",
]


class Settings(Mapping[str, Any]):
    """A section of the configuration: its keys are attributes and mapping keys.

    Values are None, bool, int, float, str, tuples of these, or further sections, so
    that ``Thing(**settings.section)`` gives an object the arguments named in ``conf``.
    ``typed`` are the ``key=value`` words that made the whole what it is.
    """

    def __init__(self, values: Mapping[str, Any], typed: Sequence[str] = ()) -> None:
        self.typed = tuple(typed)
        self._values = {key: _frozen(value) for key, value in values.items()}

    def __getattr__(self, key: str) -> Any:  # noqa: ANN401 (typed where it is used)
        try:
            return self.__dict__["_values"][key]
        except KeyError:
            raise AttributeError(f"no key {key!r} in this configuration") from None

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 (as above)
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def plain(self) -> dict[str, Any]:
        """The same as nested dicts and lists, ready for JSON."""
        return {key: _plain(value) for key, value in self.items()}

    def leaves(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Every value with its dotted key, in the order of the files."""
        for key, value in self.items():
            if isinstance(value, Settings):
                yield from value.leaves(f"{prefix}{key}.")
            else:
                yield prefix + key, value


class Wanted(NamedTuple):
    """A value for a key, and the text that it was typed as."""

    key: str
    value: object
    text: str


class Arguments(NamedTuple):
    """A command line after the verb: bare words and ``key=value`` overrides."""

    words: tuple[str, ...]
    overrides: tuple[str, ...]


def jobs(overrides: Sequence[str]) -> list[tuple[str, ...]]:
    """Overrides of each job of a sweep, in Hydra's sweep syntax; the last varies first.

    Raises ``SettingsError`` when an override cannot be read or is no finite list.
    """
    choices = []
    for text in overrides:
        override = _parsed(text)
        key = override.get_key_element()
        if not override.is_sweep_override():
            choices.append([text])
        elif override.is_discrete_sweep():
            choices.append([f"{key}={v}" for v in override.sweep_string_iterator()])
        else:
            raise SettingsError(f"{text} is not a list of values; use a,b or range()")
    return list(itertools.product(*choices))


def settings(verb: str, arguments: Arguments) -> Settings:
    """Compose ``conf/<verb>.yaml`` with the overrides and check every one.

    A bare word is the value of the file's one missing key, or of the group that has the
    verb's name. Raises ``SettingsError`` with one line for whatever does not fit.
    """
    wanted = _worded(verb, arguments.words)
    wanted += [_pair(text) for text in arguments.overrides]
    members = groups(verb)
    chosen = [each for each in wanted if each.key in members]
    for key, value, _ in chosen:
        is_left_out = value is None and key in _optional_groups(verb)
        if value not in members[key] and not is_left_out:
            raise SettingsError(_unknown(f"{key} {value!r}", str(value), members[key]))
    choices = {key: value for key, value, _ in chosen}
    taken = [f"{key}={value}" for key, value in choices.items() if value is not None]
    values = _composed(verb, tuple(taken))
    _check_recipe(verb, choices, values)
    for each in wanted:
        if each not in chosen:
            _assign(values, each, verb)
    composed = _resolved(values, arguments.overrides)
    missing = [key for key, value in composed.leaves() if value == MISSING]
    if missing:
        word = missing[0].upper() if "." not in missing[0] else f"{missing[0]}=..."
        raise SettingsError(f"adrs {verb} needs {missing[0]}: adrs {verb} {word}")
    return composed


def _check_recipe(
    verb: str, choices: Mapping[str, object], values: Mapping[str, Any]
) -> None:
    """Raise ``SettingsError`` where a recipe sets keys that a chosen member lacks."""
    recipe = choices.get(RECIPES)
    others = {g: m for g, m in choices.items() if m is not None and g != RECIPES}
    if recipe is None or not others:
        return
    meant = _composed(verb, (f"{RECIPES}={recipe}",))
    for group, member in others.items():
        own = _keys(_composed(verb, (f"{group}={member}",))[group])
        extra = [key for key in _keys(values[group]) if key not in own]
        if extra and set(_keys(values[group])) != set(_keys(meant[group])):
            raise SettingsError(
                f"{RECIPES}={recipe} sets {group}.{extra[0]}, which {group}={member} "
                f"does not have; leave out {group}={member} or {RECIPES}={recipe}"
            )


def _keys(section: Mapping[str, Any]) -> list[str]:
    return [key for key, _ in Settings(section).leaves()]


def groups(verb: str) -> dict[str, tuple[str, ...]]:
    """Groups that a verb uses with their members, by the folders and files of conf."""
    conf = folder("conf")
    return {
        name: tuple(sorted(file.stem for file in (conf / name).glob("*.yaml")))
        for name in _listed(verb)
    }


def _optional_groups(verb: str) -> set[str]:
    return {name for name, member in _listed(verb).items() if member is None}


def _listed(verb: str) -> dict[str, object]:
    """The default member of each group of a verb; None where it may be left out."""
    file = OmegaConf.to_container(OmegaConf.load(folder("conf") / f"{verb}.yaml"))
    assert isinstance(file, dict)
    listed = [each for each in file.get("defaults", []) if isinstance(each, dict)]
    return {str(name): member for each in listed for name, member in each.items()}


@functools.cache
def defaults(verb: str) -> Settings:
    """The configuration of a verb without any override."""
    return _resolved(_composed(verb, ()))


def _resolved(values: dict[str, Any], typed: Sequence[str] = ()) -> Settings:
    """The values with every reference to another key or the environment replaced."""
    plain = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
    assert isinstance(plain, dict)
    return Settings({str(key): value for key, value in plain.items()}, typed)


def _composed(verb: str, chosen: tuple[str, ...]) -> dict[str, Any]:
    conf = folder("conf")
    try:
        with initialize_config_dir(str(conf), version_base="1.3"):
            values = OmegaConf.to_container(compose(verb, list(chosen)))
    except (HydraException, OmegaConfBaseException) as error:
        line = " ".join(str(error).split())
        raise SettingsError(f"cannot compose {conf / verb}.yaml: {line}") from None
    assert isinstance(values, dict)
    if COMPANIONS in values:
        values[COMPANIONS] = dict.fromkeys(names()) | values[COMPANIONS]
    return {str(key): value for key, value in values.items()}


def _parsed(text: str) -> Override:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        line = str(error).strip().split("\n")[0]
        raise SettingsError(f"cannot read {text!r} as key=value: {line}") from None


def _pair(text: str) -> Wanted:
    """Key and value of ``key=value``; what else Hydra's syntax can say is refused."""
    override = _parsed(text)
    if override.type is not OverrideType.CHANGE or override.package is not None:
        raise SettingsError(
            f"{text!r}: keys cannot be added, removed or moved; expected key=value"
        )
    if override.is_sweep_override():
        raise SettingsError(f"{text!r} is a sweep of several jobs; add -m to run them")
    value = override.value()
    if isinstance(value, QuotedString):
        return Wanted(override.key_or_group, value.text, value.text)
    return Wanted(override.key_or_group, value, text.split("=", 1)[1].strip())


def _worded(verb: str, words: Sequence[str]) -> list[Wanted]:
    if not words:
        return []
    keys = [key for key, value in defaults(verb).leaves() if value == MISSING]
    if not keys and verb in groups(verb):
        keys = [verb]
    if len(words) > len(keys):
        raise SettingsError(
            f"adrs {verb} does not know what {words[len(keys)]!r} is; settings are "
            f"written key=value, and adrs {verb} --help lists them"
        )
    return [Wanted(key, word, word) for key, word in zip(keys, words, strict=False)]


def _assign(values: dict[str, Any], wanted: Wanted, verb: str) -> None:
    """Set a value that is there, to one of the same kind."""
    key = wanted.key
    *path, name = key.split(".")
    section: Any = values
    for part in path:
        section = section.get(part) if isinstance(section, dict) else None
    if not isinstance(section, dict) or name not in section:
        having = _members_with(verb, key)
        if having:
            raise SettingsError(f"unknown key {key} here; {' or '.join(having)} has it")
        known = _keys(values)
        beside = [each for each in known if each.startswith(".".join((*path, "")))]
        known += [] if path else values
        raise SettingsError(_unknown(f"key {key}", key, known, beside))
    if isinstance(section[name], dict):
        raise SettingsError(f"{key} is a group of keys; set them one by one: {key}.x=")
    if "${" in wanted.text:
        raise SettingsError(f"{key} is {wanted.text}; expected a value, no reference")
    section[name] = fitting(section[name], *wanted)


def _members_with(verb: str, key: str) -> list[str]:
    """Members of the group of a key, as ``llm=openai``, whose file has it."""
    group, _, name = key.partition(".")
    found = []
    for member in groups(verb).get(group, ()):
        file = folder("conf") / group / f"{member}.yaml"
        own = OmegaConf.to_container(OmegaConf.load(file))
        assert isinstance(own, dict)
        if name in _keys({str(key): value for key, value in own.items()}):
            found.append(f"{group}={member}")
    return found


def _unknown(
    what: str, got: str, known: Iterable[str], beside: Sequence[str] = ()
) -> str:
    """A line that names the unknown, and what is near, ``beside`` it, or known."""
    known = sorted(set(known))
    by_end = {name.rsplit(".", 1)[-1]: name for name in known}
    near = difflib.get_close_matches(got, known, 1, 0.7)
    near = near or [by_end[e] for e in difflib.get_close_matches(got, by_end, 1, 0.7)]
    if near:
        return f"unknown {what}; did you mean {near[0]}?"
    return f"unknown {what}; there are {', '.join(beside or known)}"


def _frozen(value: object) -> object:
    if isinstance(value, dict):
        return Settings(value)
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _plain(value: object) -> object:
    if isinstance(value, Settings):
        return value.plain()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
