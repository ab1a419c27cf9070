"""Changes objects at random, led by the types of their fields: values of the right type and of the wrong one,
lists with twins, fields that are missing, unknown or empty. Everything comes from one `random.Random`."""
import copy
from facts import META, fields

QUANTITY, INTSTR = 'io.k8s.apimachinery.pkg.api.resource.Quantity', 'io.k8s.apimachinery.pkg.util.intstr.IntOrString'
TEXTS = ['', ' ', 'x', 'Bad_Name!', 'UPPER', 'a/b', 'a/b/c', '/abs/path', '../up', 'a..b', 'a.b.c', '-dash', 'x' * 64, 'x' * 254, '10.0.0.1', '::1', '10.0.0.0/8', '010.1.2.3',
         'example.com/thing', 'metadata.name', 'Always', 'None', '*', '*.example.com', 'http://x.example/', 'default', 'é', 'cpu', 'web', 'True', '1', 'kubernetes.io/x', '$(VAR)']
NUMBERS = [-1, 0, 1, 2, 100, 101, 65535, 65536, 86400, 86401, 2147483647, 2147483648, 4294967297]
WRONG = ['text', 12, 1.5, True, [], {}, ['a'], {'a': 'b'}, None]
AMOUNTS = ['0', '-1', '1', '500m', '1.5', '1Gi', '0.1m', '1e3', 'abc', '1Zi', '', 3, '12345678901234567890', '100Ei', '1n']
PORTS = [0, 1, 80, 65536, -1, 'http', 'Bad Port', '', '10%', '100%', '101%', '-5%', 'a-very-long-port-name', '8080']
KEYS = ['good', 'Bad Key!', 'a/b/c', 'example.com/x', '', 'x' * 64, 'kubernetes.io/os', '-a', 'UPPER', 'A_B', 'a.b']


class Mutator:
    """Makes values and changes them."""

    def __init__(self, random):
        self.random = random

    def fresh(self, kind, depth=0):
        """A small value of a type, mostly a good one."""
        pick = self.random.choice
        if kind.startswith('[]'):
            return [] if depth > 4 else [self.fresh(kind[2:], depth + 1) for _ in range(pick([0, 1, 1, 1, 2]))]
        if kind.startswith('map:'):
            return {pick(['good', 'a.b', 'cpu', 'memory', 'kubernetes.io/os']): self.fresh(kind[4:], depth + 1) for _ in range(pick([0, 1, 1, 2]))}
        if kind == 'ref:' + QUANTITY:
            return pick(['1', '500m', '1Gi', '2'])
        if kind == 'ref:' + INTSTR:
            return pick([1, 80, 'http', '10%', '50%'])
        if kind.startswith('ref:'):
            name = kind[4:]
            if name.endswith('.Time'):
                return '2020-01-02T03:04:05Z'
            if name.endswith('.MicroTime'):
                return '2020-01-02T03:04:05.000006Z'
            return self.fresh_object(name, depth + 1)
        if kind == 'integer':
            return pick([0, 1, 1, 2, 30, 100])
        if kind in ('number',):
            return pick([0, 1, 1.5])
        if kind == 'boolean':
            return pick([True, False])
        return pick(['web', 'a', 'example.com/x', 'x.example.com', '/data', 'web', 'v1', ''])

    def fresh_object(self, name, depth):
        known = fields().get(name, {})
        out = {}
        for field, row in known.items():
            if not field or depth > 6:
                continue
            likely = 0.85 if row['required'] else 0.5 / depth
            if self.random.random() < likely:
                out[field] = self.value_of(row, depth)
        return out

    def value_of(self, row, depth=1):
        enum = [e for e in (row['enum'] or '').split(',') if e]
        if enum and row['type'] == 'string':
            return self.random.choice(enum)
        if enum and row['type'] == '[]string':
            return [self.random.choice(enum)]
        return self.fresh(row['type'], depth)

    def places(self, value, name, path=()):
        """Every (path, definition or type, row) inside an object, whether set or not, at most two steps below what is set."""
        out = []
        for field, row in fields().get(name, {}).items():
            if not field or field in ('apiVersion', 'kind') and not path or field == 'managedFields':
                continue
            at = path + (field,)
            out.append((at, row))
            child = value.get(field) if isinstance(value, dict) else None
            if child is not None:
                out += self.inside(child, row['type'], at)
        return out

    def inside(self, child, kind, at):
        if kind.startswith('ref:') and isinstance(child, dict):
            return self.places(child, kind[4:], at)
        out = []
        if kind.startswith('[]') and isinstance(child, list):
            for n, element in enumerate(child):
                out.append((at + (n,), {'type': kind[2:], 'enum': '', 'required': 'req'}))
                out += self.inside(element, kind[2:], at + (n,))
        if kind.startswith('map:') and isinstance(child, dict):
            for key, element in child.items():
                out.append((at + (key,), {'type': kind[4:], 'enum': '', 'required': ''}))
                out += self.inside(element, kind[4:], at + (key,))
        return out

    def change(self, value, name, times=1, wild=0.12):
        """A changed copy; `wild` is the share of values of a wrong type."""
        out = copy.deepcopy(value)
        for _ in range(times):
            places = [p for p in self.places(out, name) if p[0] != ('metadata',) and (p[0][0] != 'metadata' or self.random.random() < 0.15)]
            places = [p for p in places if p[0] not in (('metadata', 'namespace'), ('metadata', 'resourceVersion'), ('metadata', 'selfLink'))]
            if not places:
                return out
            # What is set counts three times as much as what is not.
            weights = [3 if self.get(out, p[0]) is not None else 1 for p in places]
            at, row = self.random.choices(places, weights)[0]
            self.set(out, at, self.changed(self.get(out, at), row, wild))
        return out

    def changed(self, old, row, wild):
        pick, kind = self.random.choice, row['type']
        roll = self.random.random()
        if roll < wild:
            return pick(WRONG)
        if old is not None and roll < wild + 0.15:
            return ...
        enum = [e for e in (row['enum'] or '').split(',') if e]
        if enum and kind == 'string':
            return pick(enum + ['', 'Nope'])
        if kind == 'string':
            return pick(TEXTS)
        if kind == 'integer':
            return pick(NUMBERS)
        if kind == 'boolean':
            return pick([True, False])
        if kind == 'ref:' + QUANTITY:
            return pick(AMOUNTS)
        if kind == 'ref:' + INTSTR:
            return pick(PORTS)
        if kind.startswith('[]'):
            return self.changed_list(old, row)
        if kind.startswith('map:'):
            out = dict(old) if isinstance(old, dict) else {}
            element = pick([self.fresh(kind[4:], 3), pick(TEXTS) if kind == 'map:string' else self.fresh(kind[4:], 3)])
            if kind == 'map:ref:' + QUANTITY:
                element = pick(AMOUNTS)
                out[pick(['cpu', 'memory', 'ephemeral-storage', 'storage', 'example.com/gpu', 'hugepages-2Mi', 'bogus', 'pods', 'requests.cpu', 'kubernetes.io/x', 'count/pods', 'Bad Key!'])] = element
            else:
                out[pick(KEYS)] = element
            return out
        if kind.startswith('ref:'):
            return pick([{}, self.fresh(kind, 1), self.fresh(kind, 2), self.fresh(kind, 1)])
        return pick(WRONG)

    def changed_list(self, old, row):
        kind, pick = row['type'][2:], self.random.choice
        enum = [e for e in (row['enum'] or '').split(',') if e]
        out = list(old) if isinstance(old, list) else []
        roll = self.random.random()
        if out and roll < 0.35:
            return out + [copy.deepcopy(pick(out))]
        if roll < 0.45:
            return []
        element = pick(enum + ['Nope']) if enum else pick(TEXTS) if kind == 'string' else self.fresh(kind, 2)
        return out + [element]

    @staticmethod
    def get(value, at):
        for key in at:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    @staticmethod
    def set(value, at, new):
        for key in at[:-1]:
            value = value[key] if isinstance(value, list) else value.setdefault(key, {})
        if new is ...:
            del value[at[-1]]
        else:
            value[at[-1]] = new


__all__ = ['Mutator', 'META']
