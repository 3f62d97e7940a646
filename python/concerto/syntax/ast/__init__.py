"""The syntax tree: plain values, complete for the whole grammar."""

from concerto.syntax.ast.decl import *  # noqa: F403
from concerto.syntax.ast.expr import *  # noqa: F403
from concerto.syntax.ast.node import *  # noqa: F403
from concerto.syntax.ast.pattern import *  # noqa: F403
from concerto.syntax.ast.stmt import *  # noqa: F403
from concerto.syntax.ast.type_expr import *  # noqa: F403
