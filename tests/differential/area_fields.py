"""Area g: every field of every kind, set alone in a good object that is created or updated: with a value of its type, and with the type's zero. What a
server drops (a feature that is off), fills in beside it, or refuses shows here, however rarely chance would choose the field."""
import copy
from area_bad_input import SKIP, named
from facts import definitions, fields, resources, samples
from mutate import INTSTR, QUANTITY

STEPS = 40
DEEPEST = 12
# Pods are in many kinds: one template stands for all.
POD_SPEC, TEMPLATES = 'io.k8s.api.core.v1.PodSpec', {'Pod', 'Deployment'}
ZEROS = {'string': '', 'integer': 0, 'number': 0, 'boolean': False, 'ref:' + INTSTR: 0, 'ref:' + QUANTITY: '0'}


def good(row):
    """A value of a field's type, with what is required below it."""
    kind, enum = row['type'], [e for e in (row['enum'] or '').split(',') if e]
    if enum and kind == 'string':
        return enum[-1]
    if kind.startswith('[]'):
        return [enum[-1] if enum else good({'type': kind[2:], 'enum': ''})]
    if kind.startswith('map:'):
        return {'cpu' if QUANTITY in kind else 'good': good({'type': kind[4:], 'enum': ''})}
    if kind.startswith('ref:'):
        known = {'Quantity': '1', 'IntOrString': 1, 'Time': '2020-01-02T03:04:05Z', 'MicroTime': '2020-01-02T03:04:05.000006Z', 'Duration': '1s'}
        name = kind[4:]
        if name.rsplit('.', 1)[-1] in known:
            return known[name.rsplit('.', 1)[-1]]
        return {field: good(below) for field, below in fields().get(name, {}).items() if field and below['required']}
    return {'integer': 1, 'number': 1, 'boolean': True, 'string': 'web'}.get(kind, {})


def zero(row):
    kind = row['type']
    return [] if kind.startswith('[]') else ZEROS.get(kind, {})


def places(name, whole_pods, path=(), above=()):
    """Every path below a definition, and its row: inside a list its first element, inside a map the key `good`."""
    for field, row in fields().get(name, {}).items():
        if not field or not path and field in ('apiVersion', 'kind', 'metadata'):
            continue
        at, kind = path + (field,), row['type']
        yield at, row
        while kind.startswith(('[]', 'map:')):
            at, kind = (at + (0,), kind[2:]) if kind.startswith('[]') else (at + ('good',), kind[4:])
        below = kind[4:] if kind.startswith('ref:') else None
        if below and below not in above and len(at) < DEEPEST and (whole_pods or below != POD_SPEC):
            yield from places(below, whole_pods, at, above + (below,))


def put(value, definition, at, new):
    """Sets a path; what is made on the way has what is required of it."""
    kind = 'ref:' + definition
    for n, key in enumerate(at):
        row = fields().get(kind[4:], {}).get(key) if kind.startswith('ref:') else {'type': kind[2:] if kind.startswith('[]') else kind[4:], 'enum': ''}
        last = n + 1 == len(at)
        if isinstance(value, list):
            while len(value) <= key:
                value.append(good(row))
            if last:
                value[key] = new
        elif last:
            value[key] = new
        elif not isinstance(value.get(key), (dict, list)) or value[key] == []:
            value[key] = good(row) if isinstance(good(row), (dict, list)) else {}
        value, kind = (None, '') if last else (value[key], row['type'])


def bodies(base, definition, whole_pods):
    """The object with each field set alone, twice."""
    for at, row in places(definition, whole_pods):
        for value in (good(row), zero(row)):
            body = copy.deepcopy(base())
            try:
                put(body, definition, at, copy.deepcopy(value))
            except (KeyError, TypeError, IndexError):
                continue # another form of a union stands in the way
            yield body


def cases(random, rounds):
    for kind, known in samples().items():
        resource, definition = resources()[kind], definitions()[kind]
        if 'create' not in resource.verbs or kind in SKIP:
            continue
        whole_pods = kind[1] in TEMPLATES
        created = bodies(lambda: named(random.choice(known)[1], kind), definition, whole_pods)
        steps = [{'method': 'POST', 'path': resource.path(), 'query': {'dryRun': 'All'}, 'body': body} for body in created]
        for first in range(0, len(steps), STEPS):
            yield {'id': f'{kind[1]}-{first // STEPS}', 'steps': steps[first:first + STEPS]}
        if 'update' not in resource.verbs:
            continue
        # The same fields, changed in an object that is there.
        base = named(random.choice(known)[1], kind)
        name = base.get('metadata', {}).get('name')
        if not name:
            continue
        steps = [{'method': 'PUT', 'path': f'{resource.path()}/{name}', 'query': {'dryRun': 'All'}, 'body': body} for body in bodies(lambda: base, definition, whole_pods)]
        for first in range(0, len(steps), STEPS):
            create = {'method': 'POST', 'path': resource.path(), 'body': base}
            yield {'id': f'update-{kind[1]}-{first // STEPS}', 'steps': [create] + steps[first:first + STEPS]}
