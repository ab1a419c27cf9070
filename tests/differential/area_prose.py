"""Area e: small stories of several steps, written by hand: what a chapter of the documentation says the server does."""
from area_crud import PARTIAL, TABLE

CORE = '/api/v1/namespaces/{ns}'
APPS = '/apis/apps/v1/namespaces/{ns}'
RBAC = '/apis/rbac.authorization.k8s.io/v1'
AUTHZ = '/apis/authorization.k8s.io/v1'
CRD = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
ADM = '/apis/admissionregistration.k8s.io/v1'
THINGS = '/apis/{u}.example.com/v1/namespaces/{ns}/things'
MERGE, JSONP, SMP, APPLY = ('application/merge-patch+json', 'application/json-patch+json', 'application/strategic-merge-patch+json', 'application/apply-patch+yaml')


def step(method, path, body=None, query=None, headers=None, **rest):
    out = {'method': method, 'path': path, **rest}
    if body is not None:
        out['body'] = body
    if query:
        out['query'] = query
    if headers:
        out['headers'] = headers
    return out


def get(path, query=None, **rest):
    return step('GET', path, None, query, **rest)


def post(path, body, query=None, **rest):
    return step('POST', path, body, query, **rest)


def put(path, body, query=None, **rest):
    return step('PUT', path, body, query, **rest)


def delete(path, body=None, query=None, **rest):
    return step('DELETE', path, body, query, **rest)


def patch(path, body, kind=MERGE, query=None, headers=None, **rest):
    return step('PATCH', path, body, query, {'Content-Type': kind, **(headers or {})}, **rest)


def apply(path, body, manager='gm-one', query=None, **rest):
    rest.setdefault('keep', ['managedFields'])
    return patch(path, body, APPLY, {'fieldManager': manager, **(query or {})}, **rest)


def obj(api, kind, name='web', **rest):
    meta = rest.pop('metadata', {})
    return {'apiVersion': api, 'kind': kind, 'metadata': {'name': name, **meta}, **rest}


def cm(name='web', labels=None, data=None, **meta):
    m = dict(meta)
    if labels is not None:
        m['labels'] = labels
    return obj('v1', 'ConfigMap', name, metadata=m, data=data if data is not None else {'a': '1', 'b': 'two'})


def pod(name='web', labels=None, containers=None, **spec):
    meta = {'labels': labels} if labels else {}
    return obj('v1', 'Pod', name, metadata=meta, spec={'schedulerName': 'none', 'containers': containers or [{'name': 'app', 'image': 'nginx:1.27'}], **spec})


def deploy(name='web', **spec):
    return obj('apps/v1', 'Deployment', name, spec={'replicas': 0, 'selector': {'matchLabels': {'app': 'gold'}}, 'template': {'metadata': {'labels': {'app': 'gold'}}, 'spec': {'containers': [{'name': 'app', 'image': 'nginx:1.27'}]}}, **spec})


def crd(schema=None, versions=None, names=None, **spec):
    schema = schema if schema is not None else {'type': 'object', 'properties': {'spec': {'type': 'object', 'properties': {'size': {'type': 'integer'}, 'color': {'type': 'string'}}}}}
    versions = versions or [{'name': 'v1', 'served': True, 'storage': True, 'schema': {'openAPIV3Schema': schema}}]
    return obj('apiextensions.k8s.io/v1', 'CustomResourceDefinition', 'things.{u}.example.com', spec={'group': '{u}.example.com', 'scope': 'Namespaced', 'names': {'plural': 'things', 'singular': 'thing', 'kind': 'Thing', **(names or {})}, 'versions': versions, **spec})


def thing(name='web', version='v1', **rest):
    return obj('{u}.example.com/' + version, 'Thing', name, **rest)


def made(definition=None):
    return [post(CRD, definition or crd(), only=[]), get(THINGS, until={'code': 200}, within=5, settle=0.3, skip=['body', 'type', 'warnings'])]


def ver(name, storage=False, served=True, schema=None, **rest):
    return {'name': name, 'served': served, 'storage': storage, 'schema': {'openAPIV3Schema': schema or {'type': 'object', 'x-kubernetes-preserve-unknown-fields': True}}, **rest}


CASES = {}


def case(f):
    CASES[f.__name__.replace('_', '-')] = f
    return f


def many(name, steps, **rest):
    CASES[name] = lambda: dict({'steps': steps}, **rest)


def cases(random, rounds):
    import area_prose_admission, area_prose_crd, area_prose_kinds, area_prose_more  # noqa: F401  they register their own
    for name, make in CASES.items():
        yield dict(make(), id=name)
