"""Area 4: one object of a kind, then many updates and patches of it as dry runs: PUT, JSON patch, merge patch, strategic merge patch with its directives, scale, status."""
import copy
from area_bad_input import named
from area_crud import SKIP, calm
from facts import definitions, resources, samples, subresources
from mutate import Mutator

STEPS = 24


def difference(old, new):
    """The merge patch that makes `new` of `old`."""
    out = {}
    for key in {**old, **new}:
        if key not in new:
            out[key] = None
        elif key not in old or old[key] != new[key]:
            out[key] = difference(old[key], new[key]) if isinstance(old.get(key), dict) and isinstance(new[key], dict) else new[key]
    return out


def pointers(value, at=''):
    """Every JSON pointer into a value."""
    out = [at] if at else []
    if isinstance(value, dict):
        for key, child in value.items():
            out += pointers(child, f"{at}/{key.replace('~', '~0').replace('/', '~1')}")
    if isinstance(value, list):
        for n, child in enumerate(value):
            out += pointers(child, f'{at}/{n}')
    return out


def json_patch(random, mutator, body):
    out = []
    for _ in range(random.choice([1, 1, 2, 3])):
        known = pointers({k: v for k, v in body.items() if k not in ('apiVersion', 'kind')})
        at = random.choice(known + ['/spec/none', '/metadata/labels/new', '/spec/template/spec/containers/-', '/spec/ports/7', '', 'bad', '/metadata/annotations/a~1b', '/data/x'])
        op = random.choice(['add', 'replace', 'remove', 'test', 'copy', 'move', 'add', 'replace', 'merge'])
        step = {'op': op, 'path': at}
        if op in ('add', 'replace', 'test') and random.random() < 0.95:
            step['value'] = random.choice(['x', 1, True, None, {}, [], {'a': 'b'}, 'web'])
        if op in ('copy', 'move'):
            step['from'] = random.choice(known)
        out.append(step)
    return out


def strategic(random, patch):
    """Puts a directive somewhere into a merge patch."""
    out = copy.deepcopy(patch)
    here = out
    while isinstance(here, dict) and any(isinstance(v, (dict, list)) and v for v in here.values()) and random.random() < 0.75:
        key = random.choice([k for k, v in here.items() if isinstance(v, (dict, list)) and v])
        if isinstance(here[key], list) and random.random() < 0.6:
            first = here[key][0]
            extra = random.choice([{'$patch': 'replace'}, {'$patch': 'delete', 'name': 'c'}, {'$patch': 'merge', 'name': 'c'}, {'$patch': 'delete'}])
            if isinstance(first, dict):
                here[key] = random.choice([here[key] + [extra], [dict(first, **{'$patch': random.choice(['delete', 'replace', 'merge', 'bogus'])})], list(reversed(here[key]))])
                names = [e.get('name', e.get('containerPort', 'x')) for e in here[key] if isinstance(e, dict)]
                if random.random() < 0.4:
                    here[f'$setElementOrder/{key}'] = random.choice([[{'name': n} for n in reversed(names) if n], [{'name': 'other'}], names])
            else:
                here[f'$deleteFromPrimitiveList/{key}'] = list(here[key])
            return out
        here = here[key][0] if isinstance(here[key], list) else here[key]
    if isinstance(here, dict):
        roll = random.random()
        if roll < 0.4:
            here['$patch'] = random.choice(['replace', 'delete', 'merge', 'bogus'])
        elif roll < 0.7:
            here['$retainKeys'] = random.sample(sorted(here), k=min(len(here), 2)) or ['x']
    return out


def one(random, mutator, body, kind, at):
    name = definitions()[kind]
    wild = random.choice([0, 0, 0.1])
    changed = mutator.change(body, name, times=random.choice([1, 1, 2]), wild=wild)
    dry = {'dryRun': 'All'}
    roll = random.random()
    if roll < 0.25:
        return {'method': 'PUT', 'path': at, 'query': dry, 'body': changed}
    patch = difference(body, changed)
    if roll < 0.5:
        return {'method': 'PATCH', 'path': at, 'query': dry, 'headers': {'Content-Type': 'application/merge-patch+json'}, 'body': patch}
    if roll < 0.65:
        return {'method': 'PATCH', 'path': at, 'query': dry, 'headers': {'Content-Type': 'application/json-patch+json'}, 'body': json_patch(random, mutator, body)}
    return {'method': 'PATCH', 'path': at, 'query': dry, 'headers': {'Content-Type': 'application/strategic-merge-patch+json'}, 'body': strategic(random, patch) if random.random() < 0.6 else patch}


def cases(random, rounds):
    mutator = Mutator(random)
    for kind, known in samples().items():
        resource = resources()[kind]
        if 'update' not in resource.verbs or kind[1] in SKIP - {'FlowSchema', 'PriorityLevelConfiguration'}:
            continue
        for turn in range(rounds):
            label, base = random.choice(known)
            body = calm(named(base, kind))
            body['metadata'].pop('generateName', None)
            body['metadata'].setdefault('name', 'x')
            at = f"{resource.path()}/{body['metadata']['name']}"
            steps = [{'method': 'POST', 'path': resource.path(), 'body': body, 'only': ['kind', 'message']}]
            steps += [one(random, mutator, body, kind, at) for _ in range(STEPS)]
            for sub in subresources().get((kind[0], resource.name), []):
                if sub == 'scale':
                    scale = {'apiVersion': 'autoscaling/v1', 'kind': 'Scale', 'metadata': {'name': body['metadata']['name'], 'namespace': '{ns}'}}
                    for replicas in (3, -1, 'x', None):
                        steps.append({'method': 'PUT', 'path': f'{at}/scale', 'query': {'dryRun': 'All'}, 'body': dict(scale, spec={'replicas': replicas})})
                        steps.append({'method': 'PATCH', 'path': f'{at}/scale', 'query': {'dryRun': 'All'}, 'headers': {'Content-Type': 'application/merge-patch+json'}, 'body': {'spec': {'replicas': replicas}}})
            yield {'id': f'{kind[1]}-{label}-{turn}', 'steps': steps}
