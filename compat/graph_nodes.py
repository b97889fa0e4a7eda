"""Builds nngraph's nodes and graphs, and nn.gModule, as Torch7 objects.

Nodes, edges and modules are numbered in the order of their creation. Source: gmodule.lua and node.lua of nngraph;
init.lua and Node.lua of the graph package.
"""

from __future__ import annotations

from collections.abc import Iterator

from compat.t7_objects import Table, TorchObject

# -- nodes -----------------------------------------------------------------------------------------------------------


def new_node(data: dict[bytes, object]) -> TorchObject:
    """An nngraph.Node with its own data table, which holds `data` and the lists of its neighbours."""
    table = Table(data)
    table.setdefault(b"annotations", Table({b"_debugLabel": b"[[C]]:-1_"}))
    table[b"mapindex"], table[b"reverseMap"] = Table(), Table()
    return _node_of(table)


def _node_of(data: Table) -> TorchObject:
    """An nngraph.Node with this data table, which several nodes can share."""
    fields = {b"data": data, b"id": 0, b"children": Table(), b"visited": False, b"marked": False}
    return TorchObject(b"nngraph.Node", Table(fields))


def _add_child(node: TorchObject, child: TorchObject) -> None:
    _append(node[b"children"], child)


def _append(table: Table, value: object) -> None:
    """Append to a Lua list that also maps values to indices: table[n] = value, table[value] = n."""
    if value not in table:
        n = len(table) // 2 + 1
        table[n] = value
        table[value] = n


def add_input(node: TorchObject, source: TorchObject) -> None:
    """Make the output of `source` the next input of `node`."""
    _add_child(node, source)
    _append(node[b"data"][b"mapindex"], source[b"data"])
    source[b"data"][b"reverseMap"][node] = True


def split(node: TorchObject, n: int, place: bytes) -> list[TorchObject]:
    """A node for each of the n parts of the table that `node` outputs; `place` is the debug label."""
    label = node[b"data"][b"annotations"][b"_debugLabel"]
    middle_label = Table({b"_debugLabel": label + b" split at " + place + b"-mnode"})
    middle = new_node({b"nSplitOutputs": n, b"annotations": middle_label})
    add_input(middle, node)
    parts = []
    for i in range(1, n + 1):
        part_label = Table({b"_debugLabel": label + b"-%d" % i})
        part = new_node({b"selectindex": i, b"input": Table(), b"annotations": part_label})
        add_input(part, middle)
        parts.append(part)
    return parts


# -- graphs ----------------------------------------------------------------------------------------------------------


class _Graph:
    """A graph.Graph: edges and nodes in the order of addition."""

    def __init__(self) -> None:
        self.nodes, self.edges = Table(), Table()
        self.pairs: list[tuple[TorchObject, TorchObject]] = []

    def add(self, start: TorchObject, end: TorchObject) -> None:
        edge = TorchObject(b"graph.Edge", Table({b"from": start, b"to": end}))
        _append(self.edges, edge)
        _append(self.nodes, start)
        _append(self.nodes, end)
        _add_child(start, end)
        start.fields[b"id"], end.fields[b"id"] = self.nodes[start], self.nodes[end]
        self.pairs.append((start, end))

    def reversed(self) -> _Graph:
        """The reverse of every edge, between new nodes that share the data of the old ones."""
        twins: dict[TorchObject, TorchObject] = {}
        out = _Graph()
        for start, end in self.pairs:
            for node in (start, end):
                if node not in twins:
                    twins[node] = _node_of(node[b"data"])
            out.add(twins[end], twins[start])
        return out

    def sorted_nodes(self) -> Table:
        """The nodes in topological order, as a depth-first walk from the sink against the edges leaves them."""
        before: dict[TorchObject, list[TorchObject]] = {}
        for start, end in self.pairs:
            before.setdefault(end, []).append(start)
        (sink,) = {end for _, end in self.pairs} - {start for start, _ in self.pairs}
        done, order = {sink}, []
        path: list[tuple[TorchObject, Iterator[TorchObject]]] = [(sink, iter(before[sink]))]
        while path:
            node, rest = path[-1]
            following = next((n for n in rest if n not in done), None)
            if following is None:
                order.append(node)
                path.pop()
            else:
                done.add(following)
                path.append((following, iter(before.get(following, ()))))
        return Table.of_list(order)

    def as_object(self) -> TorchObject:
        return TorchObject(b"graph.Graph", Table({b"nodes": self.nodes, b"edges": self.edges}))


def _graph_below(root: TorchObject) -> _Graph:
    """All edges from node to child, breadth first from `root`."""
    graph, queue, met = _Graph(), [root], {root}
    for node in queue:
        for child in node[b"children"].as_list():
            graph.add(node, child)
            if child not in met:
                met.add(child)
                queue.append(child)
    return graph


def gmodule(inputs: list[TorchObject], outputs: list[TorchObject], kind: bytes) -> TorchObject:
    """nn.gModule(inputs, outputs) with tensors of `kind`, b"torch.Double" or b"torch.Float"."""
    outnode, innode = new_node({b"input": Table()}), new_node({b"input": Table()})
    for node in outputs:
        add_input(outnode, node)
    for node, part in zip(inputs, split(innode, len(inputs), b"[./nngraph/gmodule.lua]:96"), strict=True):
        add_input(node, part)
    backward = _graph_below(outnode)
    forward = backward.reversed()
    forward_nodes = forward.sorted_nodes()
    modules = []
    for node in forward_nodes.values():
        node[b"data"][b"forwardNodeId"] = node[b"id"]
        if b"module" in node[b"data"]:
            modules.append(node[b"data"][b"module"])
    fields = {
        b"_type": kind + b"Tensor",
        b"modules": Table.of_list(modules),
        b"bg": backward.as_object(),
        b"fg": forward.as_object(),
        b"innode": forward_nodes[1],
        b"outnode": outnode,
        b"forwardnodes": forward_nodes,
        b"backwardnodes": backward.sorted_nodes(),
        b"output": outnode[b"data"][b"input"],
        b"nInputs": len(inputs),
        b"verbose": False,
    }
    return TorchObject(b"nn.gModule", Table(fields))
