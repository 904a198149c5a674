"""What the CEL library says of a checked expression: the messages of cel.expr that are read here.

Names and numbers are those of checked.proto and syntax.proto of github.com/google/cel-spec. Only
what a condition may consist of has its fields; anything else is known by its kind alone.
"""

from typing import Any, Final

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "bool": _FIELD.TYPE_BOOL,
    "double": _FIELD.TYPE_DOUBLE,
    "string": _FIELD.TYPE_STRING,
}
# Message → its fields: number, name, type. All but the first of `Call` are alternatives.
_MESSAGES: Final[dict[str, tuple[tuple[int, str, str], ...]]] = {
    "CheckedExpr": ((4, "expr", "Expr"),),
    "Expr": (
        (3, "const_expr", "Constant"),
        (4, "ident_expr", "Ident"),
        (5, "select_expr", "Other"),
        (6, "call_expr", "Call"),
        (7, "list_expr", "Other"),
        (8, "struct_expr", "Other"),
        (9, "comprehension_expr", "Other"),
    ),
    "Constant": ((2, "bool_value", "bool"), (5, "double_value", "double")),
    "Ident": ((1, "name", "string"),),
    "Call": ((1, "target", "Expr"), (2, "function", "string"), (3, "args", "Expr")),
    "Other": (),
}
_ALTERNATIVES: Final = {"Expr": "expr_kind", "Constant": "constant_kind"}
_PACKAGE: Final = "riskgate.checked_expr"


def _describe(name: str) -> descriptor_pb2.DescriptorProto:
    message = descriptor_pb2.DescriptorProto(name=name)
    if name in _ALTERNATIVES:
        message.oneof_decl.add(name=_ALTERNATIVES[name])
    for number, field_name, kind in _MESSAGES[name]:
        field = message.field.add(name=field_name, number=number)
        field.label = _FIELD.LABEL_REPEATED if field_name == "args" else _FIELD.LABEL_OPTIONAL
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
        else:
            field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
        if name in _ALTERNATIVES:
            field.oneof_index = 0
    return message


def _new_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="riskgate/checked_expr.proto", package=_PACKAGE, syntax="proto3"
    )
    file.message_type.extend(map(_describe, _MESSAGES))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName(f"{_PACKAGE}.CheckedExpr")
    return message_factory.GetMessageClass(found)


_CheckedExpr: Final = _new_class()


def read_expression(packed: bytes) -> Any:
    """Return the Expr of a CheckedExpr that stands in the bytes of a google.protobuf.Any.

    Raises:
        google.protobuf.message.DecodeError: They are not, or nest too deep.
    """
    return _CheckedExpr.FromString(any_pb2.Any.FromString(packed).value).expr
