"""What the sections say of themselves: the texts below their fields, read from their source."""

import ast
import functools
import inspect
from collections.abc import Mapping
from itertools import pairwise


@functools.cache
def field_texts(section: type) -> Mapping[str, str]:
    """Name of a field -> the text below it, on one line; "": the section's own text."""
    tree = ast.parse(inspect.getsource(section)).body[0]
    assert isinstance(tree, ast.ClassDef)
    texts = {"": ast.get_docstring(tree) or ""}
    for above, below in pairwise(tree.body):
        if isinstance(above, ast.AnnAssign) and isinstance(above.target, ast.Name) and isinstance(below, ast.Expr):
            assert isinstance(below.value, ast.Constant)
            texts[above.target.id] = str(below.value.value)
    return {name: " ".join(text.replace("``", "`").replace("None:", "unset:").split()) for name, text in texts.items()}
