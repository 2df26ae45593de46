"""A policy's source taken apart, so that operators can change it, and put together."""

import ast
import io
import re
import textwrap
import tokenize
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from adrs import syntax

MAX_ROOT = 60
MAX_NOTES = 4
PLUS = " + "
"""Sets the root and the changes apart in docstrings."""
TUNED = "tuned "
"""Notes that start so are forgotten by the next change: the values say it all."""


@dataclass(slots=True)
class Draft:
    """One policy class and its module; operators change it in place.

    ``root`` is what the policy's line of descent started from and ``notes`` what was
    changed since, oldest first; together they make its docstring. ``comments`` are the
    trailing comments of the class attributes.
    """

    root: str
    notes: list[str]
    imports: list[ast.stmt]
    helpers: list[ast.stmt]
    name: str
    attributes: dict[str, ast.expr]
    comments: dict[str, str]
    methods: dict[str, ast.FunctionDef]

    def note(self, text: str) -> None:
        """Remember a change; the docstring's first line will say the latest."""
        kept = [note for note in self.notes if not note.startswith(TUNED)]
        self.notes = [*kept, text][-MAX_NOTES:]

    def add_attribute(self, wanted: str, value: float, comment: str = "") -> str:
        """Add a number under a free name like ``wanted``; the name it got."""
        name = self.free_name(wanted)
        self.attributes[name] = constant(value)
        if comment:
            self.comments[name] = comment
        return name

    def free_name(self, wanted: str) -> str:
        """``wanted``, or with the first number that makes it free."""
        taken = {*self.attributes, *self.methods, *self_names(self.methods.values())}
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        return name

    def rename_attribute(self, old: str, new: str) -> None:
        """Give an attribute another name, in its place and wherever it is read."""
        items = self.attributes.items()
        self.attributes = {new if k == old else k: value for k, value in items}
        if old in self.comments:
            self.comments[new] = self.comments.pop(old)
        for method in self.methods.values():
            rename_self(method, {old: new})

    def render(self) -> str:
        """The whole file."""
        blocks = [self._docstring()]
        modules = list(dict.fromkeys(ast.unparse(node) for node in self.imports))
        if modules:
            blocks.append("\n".join(modules))
        text = "\n\n".join(blocks) + "\n\n\n"
        for node in self.helpers:
            text += ast.unparse(node) + "\n\n\n"
        return _scientific(text + self._class()) + "\n"

    def _docstring(self) -> str:
        if not self.notes:
            return f'"""{_plain(self.root)}."""'
        *earlier, latest = self.notes
        first = _plain(self.root + PLUS + latest)
        if not earlier:
            return f'"""{first}."""'
        lines = textwrap.wrap(_plain("Earlier: " + PLUS.join(earlier) + "."), 88)
        return '"""' + first + ".\n\n" + "\n".join(lines) + '\n"""'

    def _class(self) -> str:
        lines = []
        for name, value in self.attributes.items():
            comment = self.comments.get(name)
            lines.append(
                f"{name} = {ast.unparse(value)}" + f"  # {comment}" * bool(comment)
            )
        parts = ["\n".join(lines)] if lines else []
        parts += [ast.unparse(method) for method in self.methods.values()]
        body = textwrap.indent("\n\n".join(parts) or "pass", "    ")
        return f"class {self.name}:\n{body}"


def take_apart(source: str, hooks: Collection[str]) -> Draft:
    """Draft of a policy's source.

    Raises ``ValueError`` when it does not parse, has no class with one of ``hooks``, or
    holds in that class anything but attributes and methods.
    """
    try:
        tree = syntax.tree(source)
    except SyntaxError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}") from None
    policy = _policy_class(tree, hooks)
    comments = _comments(source)
    root, notes = _lineage(ast.get_docstring(tree) or policy.name)
    draft = Draft(root, notes, [], [], policy.name, {}, {}, {})
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            draft.imports.append(node)
        elif node is not policy and not _is_text(node):
            draft.helpers.append(node)
    for node in policy.body:
        _take_member(draft, node, comments)
    return draft


def number(value: ast.expr) -> float | None:
    """The plain number that an expression is, with its sign, or None."""
    if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub):
        inner = number(value.operand)
        return None if inner is None else -inner
    if isinstance(value, ast.Constant) and type(value.value) in (int, float):
        return value.value  # type: ignore[return-value]
    return None


def constant(value: float) -> ast.expr:
    """Expression of a number."""
    node: ast.expr = ast.Constant(abs(value))
    return ast.UnaryOp(ast.USub(), node) if value < 0 else node


def statements(text: str) -> list[ast.stmt]:
    """Trees of statements."""
    return syntax.tree(textwrap.dedent(text)).body


def self_names(nodes: Collection[ast.AST]) -> set[str]:
    """Every X of ``self.X`` within the nodes."""
    return {
        node.attr
        for tree in nodes
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def makers(
    methods: Mapping[str, ast.FunctionDef], state: str, listeners: Collection[str]
) -> list[str]:
    """The constructor, and the listeners that touch a piece of state."""
    touching = [
        n for n in listeners if n in methods and state in self_names([methods[n]])
    ]
    return [*touching, "__init__"]


def rename_self(tree: ast.AST, names: Mapping[str, str]) -> None:
    """Read ``self.NEW`` wherever the tree reads ``self.OLD``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self":
            node.attr = names.get(node.attr, node.attr)


def free_names(nodes: Collection[ast.AST]) -> set[str]:
    """Every plain name within the nodes."""
    return {
        node.id
        for tree in nodes
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
    }


def bound_name(statement: ast.stmt) -> str:
    """Name that a top-level statement binds: of a function, class or assignment."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return statement.name
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return ""


def _policy_class(tree: ast.Module, hooks: Collection[str]) -> ast.ClassDef:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(
            isinstance(item, ast.FunctionDef) and item.name in hooks
            for item in node.body
        ):
            return node
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    if len(classes) != 1:
        raise ValueError("no class with one of the hooks " + ", ".join(sorted(hooks)))
    return classes[0]


def _take_member(draft: Draft, node: ast.stmt, comments: dict[int, str]) -> None:
    if isinstance(node, ast.FunctionDef):
        draft.methods[node.name] = node
        return
    if isinstance(node, ast.Pass) or _is_text(node):
        return
    target: ast.expr | None = None
    if isinstance(node, ast.AnnAssign):
        target = node.target
    elif isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    if not isinstance(target, ast.Name) or value is None:
        raise ValueError(f"line {node.lineno}: neither an attribute nor a method")
    draft.attributes[target.id] = value
    if node.end_lineno in comments:
        draft.comments[target.id] = comments[node.end_lineno]


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _comments(source: str) -> dict[int, str]:
    """Comment of each line that ends in one."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ")
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _lineage(docstring: str) -> tuple[str, list[str]]:
    """Root and notes that ``Draft.render`` wrote, or what a first line makes of it."""
    title, _, rest = docstring.strip().partition("\n")
    root, _, latest = title.rstrip(".").partition(PLUS)
    story = " ".join(rest.split())
    notes = []
    if story.startswith("Earlier: "):
        notes = story.removeprefix("Earlier: ").rstrip(".").split(PLUS)
    if latest:
        notes.append(latest)
    if len(root) > MAX_ROOT:
        root = root.partition(" (")[0]
    return textwrap.shorten(root, MAX_ROOT, placeholder=" ..."), notes


def _scientific(source: str) -> str:
    """Write long round numbers short: 1e9 for 1000000000.0."""
    return re.sub(
        r"\b1(0{6,15})\.0\b", lambda match: f"1e{len(match.group(1))}", source
    )


def _plain(text: str) -> str:
    return text.replace("\\", "/").replace('"', "'")
