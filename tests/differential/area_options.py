"""Area a: the query parameters and options bodies of every verb, good and broken; collections deleted; odd content types and Accepts."""
from area_crud import PARTIAL, TABLE
from area_listwatch import FORMS

AT = '/api/v1/namespaces/{ns}/configmaps'
PLACES = [(AT, {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'a'}, 'data': {'k': 'v'}}),
          ('/api/v1/namespaces/{ns}/secrets', {'apiVersion': 'v1', 'kind': 'Secret', 'metadata': {'name': 'a'}, 'stringData': {'k': 'v'}}),
          ('/apis/coordination.k8s.io/v1/namespaces/{ns}/leases', {'apiVersion': 'coordination.k8s.io/v1', 'kind': 'Lease', 'metadata': {'name': 'a'}}),
          ('/api/v1/namespaces/{ns}/pods', {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'a'}, 'spec': {'schedulerName': 'none', 'containers': [{'name': 'c', 'image': 'i'}]}}),
          ('/apis/apps/v1/namespaces/{ns}/deployments', {'apiVersion': 'apps/v1', 'kind': 'Deployment', 'metadata': {'name': 'a'}, 'spec': {'replicas': 0, 'selector': {'matchLabels': {'a': 'b'}}, 'template': {'metadata': {'labels': {'a': 'b'}}, 'spec': {'containers': [{'name': 'c', 'image': 'i'}]}}}})]
BOOLS = ['true', 'false', '1', '0', '', 'True', 'T', 'yes', 'x', 'nil']
INTS = ['0', '1', '-1', '30', 'x', '', '1.5', '99999999999999999999', '-99999999999999999999', ' 1', '0x10', '+1', '1e3']
QUERY = {'dryRun': ['All', 'all', '', 'None', 'true', ['All', 'All'], ['All', 'x'], ['', 'All']], 'fieldManager': ['gm-x', '', 'a' * 128, 'a' * 129, 'a\nb', 'é', 'a b', '\u200b', '\x7f', 'a/b', '日本語'],
         'fieldValidation': ['Strict', 'Warn', 'Ignore', '', 'strict', 'x'], 'force': BOOLS, 'pretty': BOOLS, 'timeout': ['1s', '30', 'x', '0', '0s', '-1s', '10m', '1h1s', ''], 'gracePeriodSeconds': INTS, 'orphanDependents': BOOLS,
         'propagationPolicy': ['Orphan', 'Background', 'Foreground', '', 'x', 'orphan'], 'ignoreStoreReadErrorWithClusterBreakingPotential': BOOLS, 'preconditions': ['x'], 'uid': ['x'], 'resourceVersion': ['0', '1', 'x', '', '-1', '{rv}', '99999999999'],
         'resourceVersionMatch': ['Exact', 'NotOlderThan', '', 'x', 'exact'], 'limit': INTS, 'continue': ['x', '', 'eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiYVx1MDAwMCJ9', 'eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NSwic3RhcnQiOiIuLi9hXHUwMDAwIn0', 'eyJ2IjoidjIifQ', 'eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MCwic3RhcnQiOiJhIn0', 'e30', '!!'],
         'labelSelector': ['a=b', 'a in (', '!', 'x y'], 'fieldSelector': ['metadata.name=a', 'x=y', '=', 'metadata.name', 'metadata.name=a,metadata.namespace={ns}'], 'timeoutSeconds': INTS, 'allowWatchBookmarks': BOOLS, 'sendInitialEvents': BOOLS, 'shardSelector': ['x', '', "shardRange(object.metadata.uid, '0', '1')"], 'bogus': ['x'], 'apiVersion': ['v2'], 'kind': ['x'], 'exact': ['true'], 'export': ['true'], 'includeUninitialized': ['1'], 'includeObject': ['None', 'Metadata', 'Object', '', 'x']}
LIST = ['limit', 'continue', 'resourceVersion', 'resourceVersionMatch', 'labelSelector', 'fieldSelector', 'timeoutSeconds', 'allowWatchBookmarks', 'sendInitialEvents', 'shardSelector', 'pretty', 'timeout', 'bogus', 'includeUninitialized', 'apiVersion', 'kind', 'includeObject']
GET = ['resourceVersion', 'pretty', 'timeout', 'bogus', 'exact', 'export', 'includeObject', 'limit']
WRITE = ['dryRun', 'fieldManager', 'fieldValidation', 'force', 'pretty', 'timeout', 'bogus', 'apiVersion']
DELETE = ['dryRun', 'gracePeriodSeconds', 'orphanDependents', 'propagationPolicy', 'ignoreStoreReadErrorWithClusterBreakingPotential', 'preconditions', 'uid', 'pretty', 'timeout', 'bogus', 'kind', 'resourceVersion']
BODIES = [{}, {'kind': 'DeleteOptions', 'apiVersion': 'v1'}, {'kind': 'DeleteOptions', 'apiVersion': 'meta.k8s.io/v1'}, {'kind': 'DeleteOptions', 'apiVersion': 'apps/v1'}, {'kind': 'DeleteOptions', 'apiVersion': 'x/v1'}, {'kind': 'Pod', 'apiVersion': 'v1'}, {'kind': 'DeleteOptions'}, {'apiVersion': 'v1'}, {'gracePeriodSeconds': -1}, {'gracePeriodSeconds': 'x'},
          {'preconditions': {'uid': 'x'}}, {'preconditions': {'resourceVersion': '1'}}, {'preconditions': {'uid': 'x', 'resourceVersion': '1'}}, {'preconditions': {}}, {'preconditions': 'x'}, {'propagationPolicy': 'x'}, {'propagationPolicy': 'Orphan', 'orphanDependents': True}, {'orphanDependents': 'x'}, {'dryRun': ['All']}, {'dryRun': 'All'}, {'dryRun': ['x', 'All']}, {'bogus': 1},
          {'gracePeriodSeconds': 0, 'propagationPolicy': 'Foreground'}, {'ignoreStoreReadErrorWithClusterBreakingPotential': True}, {'ignoreStoreReadErrorWithClusterBreakingPotential': True, 'gracePeriodSeconds': 1, 'propagationPolicy': 'Orphan'}, {'ignoreStoreReadErrorWithClusterBreakingPotential': False}, [], 'x', 1, None]
TYPES = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf', 'application/cbor', 'text/plain', '', 'application/json; charset=utf-8', 'application/xml', 'application/json;as=Table', '*/*', 'application/JSON', 'json', 'application/json,application/yaml', 'application/x-www-form-urlencoded', 'application/json;']
PATCHES = ['application/json-patch+json', 'application/merge-patch+json', 'application/strategic-merge-patch+json', 'application/apply-patch+yaml', 'application/apply-patch+cbor', 'application/json', '', 'text/plain', 'application/merge-patch+json; charset=utf-8', 'application/apply-patch+json', 'application/merge-patch', '*/*']


def query(random, names, at_most=3):
    out = {}
    for name in random.sample(names, random.choice(range(1, at_most + 1))):
        out[name] = random.choice(QUERY[name])
    return out


def step(random, place, body):
    roll, name = random.random(), random.choice(['a', 'a', 'a', 'none'])
    headers = {'Accept': random.choice(FORMS)} if random.random() < 0.12 else {}
    if roll < 0.22:
        out = {'method': 'GET', 'path': place, 'query': query(random, LIST)}
    elif roll < 0.3:
        out = {'method': 'GET', 'path': f'{place}/{name}', 'query': query(random, GET)}
    elif roll < 0.42:
        out = {'method': 'POST', 'path': place, 'query': dict({'dryRun': 'All'}, **query(random, WRITE)), 'body': dict(body, metadata={'name': 'b'})}
    elif roll < 0.52:
        out = {'method': 'PUT', 'path': f'{place}/{name}', 'query': dict({'dryRun': 'All'}, **query(random, WRITE)), 'body': dict(body, metadata={'name': name})}
    elif roll < 0.68:
        kind = random.choice(PATCHES if random.random() < 0.5 else PATCHES[:4])
        change = [{'op': 'add', 'path': '/metadata/labels', 'value': {'a': 'b'}}] if 'json-patch' in kind else {'metadata': {'labels': {'a': 'b'}}}
        if 'apply' in kind and random.random() < 0.8:
            change = {'apiVersion': body['apiVersion'], 'kind': body['kind'], 'metadata': {'name': name, 'labels': {'a': 'b'}}}
        out = {'method': 'PATCH', 'path': f'{place}/{name}', 'query': dict({'dryRun': 'All'}, **query(random, WRITE)), 'body': change}
        headers['Content-Type'] = kind
    elif roll < 0.84:
        out = {'method': 'DELETE', 'path': f'{place}/{name}', 'query': dict({'dryRun': 'All'}, **(query(random, DELETE) if random.random() < 0.6 else {}))}
        if random.random() < 0.6:
            out['body'] = random.choice(BODIES)
    elif roll < 0.94:
        out = {'method': 'DELETE', 'path': place, 'query': dict({'dryRun': 'All'}, **query(random, DELETE + LIST))}
        out['query'].pop('limit', None)
        if random.random() < 0.5:
            out['body'] = random.choice(BODIES)
    else:
        out = {'method': random.choice(['POST', 'PUT']), 'path': place, 'query': {'dryRun': 'All'}, 'body': dict(body, metadata={'name': 'b'})}
        out['path'] += '' if out['method'] == 'POST' else '/b'
        headers['Content-Type'] = random.choice(TYPES)
    if headers:
        out['headers'] = headers
    return out


def cases(random, rounds):
    for turn in range(rounds * 6):
        place, body = PLACES[turn % len(PLACES)]
        steps = [{'method': 'POST', 'path': place, 'body': body, 'only': [], 'save': {'rv': 'metadata.resourceVersion'}}]
        while len(steps) < 60:
            # Which revisions there are differs between servers, and an empty body of options is the client library's own matter.
            made = step(random, place, body)
            if (made.get('query') or {}).get('resourceVersion') in ('1', '0') and 'continue' in made['query']:
                continue
            if made['method'] == 'GET' and place == AT and made['path'] == place:
                made['query'].setdefault('labelSelector', '!none')
                made['ignore'] = ['items[*].data["ca.crt"]']
            steps.append(made)
        yield {'id': f'options-{turn}', 'steps': steps}
    for turn in range(rounds):
        yield {'id': f'pages-{turn}', 'steps': pages(random)}


def pages(random):
    """Walks through a collection page by page, with the token of one question used in another."""
    steps = [{'method': 'POST', 'path': AT, 'body': {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': f'p{n}', 'labels': {'p': str(n % 2)}}}, 'only': [], 'save': {'rv': 'metadata.resourceVersion'}} for n in range(7)]
    for n in range(12):
        base = {'labelSelector': random.choice(['p', 'p=1', 'p!=9,p']), 'limit': random.choice(['1', '2', '3', '4'])}
        if random.random() < 0.3:
            base['resourceVersion'] = random.choice(['0', '{rv}'])
            if random.random() < 0.5:
                base['resourceVersionMatch'] = random.choice(['Exact', 'NotOlderThan'])
        headers = {'Accept': random.choice(['application/json', 'application/json', TABLE['Accept'], PARTIAL['Accept'].replace('Metadata', 'MetadataList')])}
        steps.append({'method': 'GET', 'path': AT, 'query': dict(base), 'headers': headers, 'save': {f'token{n}': 'metadata.continue'}})
        more = dict({k: v for k, v in base.items() if not k.startswith('resourceVersion') or random.random() < 0.3}, **{'continue': f'{{token{n}}}'})
        if random.random() < 0.3:
            more['limit'] = random.choice(['0', '1', '100', 'x', '-1'])
        if random.random() < 0.2:
            more['labelSelector'] = 'p=0'
        steps.append({'method': 'GET', 'path': AT, 'query': more, 'headers': headers})
        if random.random() < 0.3:
            steps.append({'method': 'DELETE', 'path': f'{AT}/p{n % 7}', 'only': ['code']})
    return steps
