"""Area 1: every path that tells what is served, in every form it can be asked for."""
from facts import resources

AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
FORMS = ['application/json', AGGREGATED, AGGREGATED + ',application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf', '*/*', 'text/html', 'application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json', 'text/plain']
PROBES = ['/healthz', '/livez', '/readyz', '/healthz/ping', '/healthz/log', '/livez/etcd', '/readyz/etcd', '/readyz/none', '/livez/ping', '/readyz/informer-sync', '/healthz/poststarthook/start-apiextensions-controllers', '/version', '/version/', '/', '/api', '/api/', '/apis', '/apis/', '/api/v1', '/api/v1/', '/api/v2',
          '/apis/apps', '/apis/apps/', '/apis/nope', '/apis/apps/v1', '/apis/apps/v2', '/apis/nope/v1', '/apis/apps/v1/nope', '/apis/apps/v1/namespaces/x/nope', '/metrics/nope', '/openapi', '/openapi/v2', '/openapi/v3', '/openapi/v3/', '/openapi/v3/api', '/openapi/v3/apis', '/openapi/v3/version', '/openapi/v3/nope', '/openapi/v3/apis/nope/v1',
          '/.well-known/openid-configuration', '/openid/v1/jwks', '/.well-known/nope', '/logs', '/debug/pprof/', '/nope', '/api/v1/pods/x', '/api/v1/namespaces/default/nodes', '/api/v1/namespaces/default/namespaces', '/api/v1/nodes/x/y', '/api//v1', '//api/v1', '/api/v1/namespaces/default/pods/', '/apis/apps/v1/deployments/x', '/api/v1/watch/pods/x/y/z',
          '/api/v1/componentstatuses', '/api/v1/namespaces/default/bindings', '/api/v1/watch/namespaces/default/pods/x', '/swagger.json', '/ui', '/api/v1/proxy', '/flagz', '/statusz']


def cases(random, rounds):
    yield {'id': 'probes', 'namespace': False, 'steps': [{'method': 'GET', 'path': path, 'only': ['kind', 'message', 'code', 'reason', 'details', 'groupVersion', 'name', 'issuer'], **({} if 'openapi/v2' not in path else {'skip': ['body']})} for path in PROBES]}
    for verb in ('POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'):
        yield {'id': f'verbs-{verb}', 'namespace': False, 'steps': [{'method': verb, 'path': path, **({'text': ''} if verb in ('POST', 'PUT', 'PATCH') else {})} for path in
               ['/', '/api', '/apis', '/apis/apps', '/apis/apps/v1', '/version', '/healthz', '/openapi/v2', '/openapi/v3', '/api/v1/nope', '/nope', '/api/v1/namespaces/kube-system/pods/x/nope', '/api/v1/componentstatuses']]}
    yield {'id': 'probes-verbose', 'namespace': False, 'steps': [{'method': 'GET', 'path': path, 'query': query} for path in ('/healthz', '/livez', '/readyz') for query in ({'verbose': ''}, {'exclude': 'etcd'}, {'exclude': 'none'}, {'verbose': '', 'exclude': 'etcd'})]}
    roots = ['/api', '/apis', '/api/v1'] + sorted({f'/apis/{r.group}' for r in resources().values() if r.group}) + sorted({f'/apis/{r.api_version}' for r in resources().values() if r.group})
    for form in FORMS:
        yield {'id': f'forms-{form[:40]}', 'namespace': False, 'steps': [{'method': 'GET', 'path': path, 'headers': {'Accept': form}} for path in roots + ['/version', '/healthz', '/openapi/v3', '/nope', '/openapi/v3/apis/apps/v1']
               if not (form == 'application/json' and path.startswith('/openapi')) and not path.startswith('/openapi/v3') or form != '*/*']}
    for group in sorted({'api/v1'} | {f'apis/{r.api_version}' for r in resources().values() if r.group} | {'apis', 'api', 'version', 'apis/apps', '.well-known/openid-configuration', 'openid/v1/jwks', 'logs'}):
        yield {'id': f'openapi-{group}', 'namespace': False, 'steps': [{'method': 'GET', 'path': f'/openapi/v3/{group}', 'skip': ['type']}]}
    yield {'id': 'openapi-v2', 'namespace': False, 'steps': [{'method': 'GET', 'path': '/openapi/v2', 'skip': ['type']}]}
