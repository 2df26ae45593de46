"""Add to a policy: a term, a condition, a hook it lacks."""

import ast
from collections.abc import Sequence

import numpy as np

from adrs.variation.draft import Draft, statements
from adrs.variation.ranking import (
    Ranking,
    fill,
    fresh,
    is_positive,
    ranking,
    renamed,
    scale_of,
)
from adrs.variation.readings import KEYS, Feature, Number, Template
from adrs.variation.templates import COUNTS, FAR, HOLD, LATER, RULES, SOONER
from adrs.variation.vocabulary import ROWS, Vocabulary

FIRST_HOOK_ODDS = 0.75
"""How often the first ranking hook of the problem is chosen over the others."""
HOLDS = "admit_key"
"""The hook that may hold a request back."""
FULL_STEP = "engine.max_step_tokens"
PLAIN_ODDS = 0.2
"""How likely a quantity is that nobody has an opinion of, against one that is known."""
SOFT_ODDS = 0.6
"""How often a condition moves a key by a tunable amount, not before or after all."""
EFFECTS = (("last", 0.5), ("first", 0.3), ("hold", 0.2))


def add_term(
    draft: Draft,
    others: Sequence[Draft],
    rng: np.random.Generator,
    vocabulary: Vocabulary,
) -> str | None:
    """Add a weighted feature to a key, or multiply it by one."""
    del others
    laid_out = _some_ranking(draft, rng, vocabulary)
    if laid_out is None:
        return None
    features = vocabulary.features(laid_out.method.name)
    odds = np.array([1.0 if each.sign else PLAIN_ODDS for each in features])
    feature = features[rng.choice(len(features), p=odds / odds.sum())]
    can_scale = not feature.signed and is_positive(draft, laid_out)
    if can_scale and rng.random() < 0.4:
        text, weight = _factor(feature, _is_raised(feature, laid_out, rng))
    else:
        usual = scale_of(draft, laid_out)
        text, weight = _summand(feature, usual, laid_out, rng)
    laid_out.append(fill(draft, text, (weight,), rng))
    laid_out.tidy()
    return f"{laid_out.method.name} weighs {feature.name.replace('_', ' ')}"


def add_condition(
    draft: Draft,
    others: Sequence[Draft],
    rng: np.random.Generator,
    vocabulary: Vocabulary,
) -> str | None:
    """Send the requests that meet a condition first or last, or hold them back."""
    del others
    laid_out = _some_ranking(draft, rng, vocabulary)
    if laid_out is None:
        return None
    hook = laid_out.method.name
    effects = EFFECTS if hook == HOLDS else EFFECTS[:2]
    odds = np.array([weight for _, weight in effects])
    effect = effects[rng.choice(len(effects), p=odds / odds.sum())][0]
    source = {"last": LATER, "first": SOONER, "hold": HOLD}[effect]
    template = _some(source, hook, rng, vocabulary)
    if template is None:
        template = _limit(effect, hook, rng, vocabulary)
    if template is None:
        return None
    change, numbers = _change(effect, draft, laid_out, rng)
    text = f"{template.text}\n{change}"
    filled = fill(draft, text, (*template.numbers, *numbers), rng)
    condition, value = filled.split("\n")
    chosen = fresh("chosen", laid_out.method)
    laid_out.append(f"{chosen} = {condition}\nkey = np.where({chosen}, {value}, key)")
    if numbers:
        return f"{hook} shifts {template.note.rpartition(' ')[0]}"
    return template.note if hook == HOLDS else f"{hook}: {template.note}"


def _limit(
    effect: str, hook: str, rng: np.random.Generator, vocabulary: Vocabulary
) -> Template | None:
    """A condition on any quantity, or on what a code stands for."""
    codes, features = vocabulary.codes(hook), vocabulary.features(hook)
    if not codes and not features:
        return None
    at = int(rng.integers(len(codes) + len(features)))
    if at < len(codes):
        which = int(rng.integers(3))
        text = f"{ROWS}.{codes[at]} == {which}"
        return Template(f"{codes[at]} {which} {effect}", text)
    feature = features[at - len(codes)]
    name = f"{feature.name}_limit"
    numbers = (Number(name, feature.scale * 0.1, feature.scale * 5),)
    sign = "<" if rng.random() < 0.5 else ">"
    words = "little" if sign == "<" else "much"
    note = f"{words} {feature.name.replace('_', ' ')} {effect}"
    return Template(note, f"{feature.text} {sign} ${name}", numbers)


def _change(
    effect: str, draft: Draft, laid_out: Ranking, rng: np.random.Generator
) -> tuple[str, tuple[Number, ...]]:
    """What becomes of the key of the requests that meet a condition."""
    if effect == "hold":
        return "np.inf", ()
    is_raised = (effect == "last") == laid_out.rises
    sign = "+" if is_raised else "-"
    if rng.random() > SOFT_ODDS:
        return f"key {sign} {FAR}", ()
    usual = scale_of(draft, laid_out)
    return f"key {sign} $shift", (Number("shift", usual * 0.1, usual * 3),)


def invent_key(
    draft: Draft,
    others: Sequence[Draft],
    rng: np.random.Generator,
    vocabulary: Vocabulary,
) -> str | None:
    """Write a new ranking hook, from a template or as a sum of logarithms."""
    del others
    hook = _first_or_any(vocabulary.rankable(), rng)
    if hook is None:
        return None
    laid_out = _blank(draft, hook, vocabulary)
    if laid_out is None:
        return None
    template = _some(KEYS.get(hook, ()), hook, rng, vocabulary)
    if template is None or rng.random() < 0.4:
        template = _sum_of_logs(laid_out, rng, vocabulary)
    laid_out.append(fill(draft, template.text, template.numbers, rng))
    laid_out.tidy()
    return template.note


def invent_count(
    draft: Draft,
    others: Sequence[Draft],
    rng: np.random.Generator,
    vocabulary: Vocabulary,
) -> str | None:
    """Write a new hook that returns a count, in place of any there was."""
    del others
    hook = _some_count(rng, vocabulary)
    template = _some(COUNTS, hook, rng, vocabulary) if hook else None
    if hook is None or template is None:
        return None
    body = fill(draft, template.text, template.numbers, rng)
    draft.methods[hook] = _count_method(hook, body, vocabulary)
    return f"{hook}: {template.note}"


def add_rule(
    draft: Draft,
    others: Sequence[Draft],
    rng: np.random.Generator,
    vocabulary: Vocabulary,
) -> str | None:
    """Put an exception at the head of a hook that returns a count."""
    del others
    hook = _some_count(rng, vocabulary)
    template = _some(RULES, hook, rng, vocabulary) if hook else None
    if hook is None or template is None or not vocabulary.allows(hook, FULL_STEP):
        return None
    body = f"return {FULL_STEP}"
    method = draft.methods.setdefault(hook, _count_method(hook, body, vocabulary))
    rule = statements(fill(draft, template.text, template.numbers, rng))
    engine = method.args.args[-1].arg
    has_docstring = ast.get_docstring(method) is not None
    method.body[has_docstring:has_docstring] = [
        renamed(node, {"engine": engine}) for node in rule
    ]
    return f"{hook}: {template.note}"


def _some_count(rng: np.random.Generator, vocabulary: Vocabulary) -> str | None:
    hooks = [name for name, hook in vocabulary.hooks.items() if hook.returns == "count"]
    return _first_or_any(hooks, rng)


def _count_method(hook: str, body: str, vocabulary: Vocabulary) -> ast.FunctionDef:
    arguments = ", ".join(vocabulary.hooks[hook].arguments)
    method = statements(f"def {hook}(self, {arguments}):\n    pass")[0]
    assert isinstance(method, ast.FunctionDef)
    method.body = statements(body)
    return method


def _first_or_any(hooks: Sequence[str], rng: np.random.Generator) -> str | None:
    if not hooks:
        return None
    is_first = rng.random() < FIRST_HOOK_ODDS
    return hooks[0] if is_first else hooks[int(rng.integers(len(hooks)))]


def _some_ranking(
    draft: Draft, rng: np.random.Generator, vocabulary: Vocabulary
) -> Ranking | None:
    hook = _first_or_any(vocabulary.rankable(), rng)
    return None if hook is None else ranking(draft, hook, vocabulary)


def _blank(draft: Draft, hook: str, vocabulary: Vocabulary) -> Ranking | None:
    """The hook begun anew, its key still to be made; None if nothing begins it."""
    draft.methods.pop(hook, None)
    laid_out = ranking(draft, hook, vocabulary)
    if laid_out is not None:
        laid_out.method.body[-2:-1] = []
    return laid_out


def _some(
    templates: Sequence[Template],
    hook: str,
    rng: np.random.Generator,
    vocabulary: Vocabulary,
) -> Template | None:
    fitting = [t for t in templates if vocabulary.allows(hook, t.text)]
    return fitting[rng.integers(len(fitting))] if fitting else None


def _is_raised(feature: Feature, laid_out: Ranking, rng: np.random.Generator) -> bool:
    """Whether more of the feature should raise the key; a coin where nobody knows."""
    if not feature.sign:
        return bool(rng.random() < 0.5)
    return (feature.sign > 0) == laid_out.rises


def _factor(feature: Feature, is_raised: bool) -> tuple[str, Number]:
    """Multiply the key: scale-free, so that the weight means the same everywhere."""
    usual = 1 / feature.scale
    weight = Number(f"{feature.name}_weight", usual * 0.1, usual * 3)
    operator = "*" if is_raised else "/"
    return f"key = key {operator} (1 + ${weight.name} * {feature.text})", weight


def _summand(
    feature: Feature, usual: float, laid_out: Ranking, rng: np.random.Generator
) -> tuple[str, Number]:
    """Add to the key, with a weight that makes both about equally large."""
    text, scale = feature.text, feature.scale
    if not feature.signed and rng.random() < 0.3:
        text, scale = f"np.log1p({text})", float(np.log1p(scale))
    usual /= scale
    weight = Number(f"{feature.name}_weight", usual * 0.1, usual * 5)
    is_raised = _is_raised(feature, laid_out, rng)
    sign = "+" if is_raised == (rng.random() < 0.85) else "-"
    return f"key = key {sign} ${weight.name} * {text}", weight


def _sum_of_logs(
    laid_out: Ranking, rng: np.random.Generator, vocabulary: Vocabulary
) -> Template:
    """Two or three features to powers of their own: a key that knows no units."""
    hook = laid_out.method.name
    features = [feature for feature in vocabulary.features(hook) if not feature.signed]
    count = min(len(features), int(rng.integers(2, 4)))
    chosen = [features[i] for i in rng.permutation(len(features))[:count]]
    terms, numbers = [], []
    for feature in chosen:
        is_raised = _is_raised(feature, laid_out, rng)
        number = Number(f"{feature.name}_power", 0.1, 3.0)
        terms.append(
            f"{'+' if is_raised else '-'} ${number.name} * np.log1p({feature.text})"
        )
        numbers.append(number)
    names = ", ".join(feature.name.replace("_", " ") for feature in chosen)
    text = f"key = {' '.join(terms).removeprefix('+ ')}"
    return Template(f"{hook} by powers of {names}", text, tuple(numbers))
