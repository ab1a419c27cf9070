"""Area 6: lists and watches with every kind of selector, page, resourceVersion and form; Table rows of objects with a status."""

from area_crud import PARTIAL, TABLE
from facts import resources

FORMS = ['application/json', TABLE['Accept'], PARTIAL['Accept'].replace('Metadata', 'MetadataList'), PARTIAL['Accept'], 'application/yaml', 'application/vnd.kubernetes.protobuf', '*/*', 'application/*', 'text/html', 'text/plain',
         'application/json;as=Table;v=v1beta1;g=meta.k8s.io', 'application/json;as=Table;v=v2;g=meta.k8s.io', 'application/json;as=Nope;v=v1;g=meta.k8s.io', 'application/json;as=Table;v=v1;g=other', 'application/yaml;as=Table;v=v1;g=meta.k8s.io',
         'application/json;pretty=1', 'application/json;q=0.5, application/yaml', 'application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io', 'application/json;stream=watch', 'application/cbor', 'application/json; charset=utf-8', '']
LABELS = ['tier=web', 'tier==web', 'tier!=web', 'tier in (web,db)', 'tier notin (web)', 'tier', '!tier', 'n>1', 'n<3', 'n > x', 'tier in ()', 'tier in (', 'tier=', '=', 'a b', 'tier=web,n=1', 'tier=web,', ',', 'tier in (web,,db)', 'Bad Key!=x', 'tier=Bad Value!',
          '!', 'tier!', 'tier notin', 'x/y/z=1', 'tier in (web', 'tier=web=db', 'tier,n', '!tier,n', 'tier in (web) , n', 'n>=1', 'n=1,n=2', 'a' * 64 + '=x', 'tier=' + 'v' * 64, 'tier in ("web")', "tier='web'", 'in', 'in in (in)', 'notin notin (notin)', 'tier in (web)db', '(tier)', 'n>1,n<3', 'tier = web', 'n>-1', 'n>01', 'tier===web', '!!tier']
FIELDS = ['metadata.name=a', 'metadata.name!=a', 'metadata.name==a', 'metadata.namespace={ns}', 'metadata.namespace=other', 'spec.nodeName=', 'status.phase=Pending', 'status.phase!=Running', 'spec.restartPolicy=Never', 'spec.schedulerName=none', 'type=Opaque', 'type!=Opaque',
          'metadata.labels=x', 'bogus=1', 'metadata.name', 'metadata.name=', '=', ',', 'metadata.name=a,metadata.namespace={ns}', 'metadata.name=a,metadata.name=b', 'metadata.name in (a)', 'metadata.name=a\\,b', 'metadata.name=a\\', 'metadata.name=a=b', 'metadata.uid=x', 'spec.unschedulable=true',
          'status.podIP=', 'spec.hostNetwork=false', 'spec.serviceAccountName=default', 'reason=x', 'involvedObject.kind=Pod', 'spec.type=ClusterIP', 'spec.clusterIP=None', 'status.successful=0', 'status.replicas=0', 'spec.signerName=x', 'metadata.Name=a', 'metadata.name<a', 'status.nominatedNodeName=']
KINDS = [('v1', 'ConfigMap'), ('v1', 'Pod'), ('v1', 'Secret'), ('v1', 'Service'), ('v1', 'Event'), ('events.k8s.io/v1', 'Event'), ('batch/v1', 'Job'), ('apps/v1', 'ReplicaSet'), ('v1', 'ReplicationController'), ('apps/v1', 'Deployment'), ('v1', 'Namespace'), ('v1', 'Node'),
         ('certificates.k8s.io/v1', 'CertificateSigningRequest'), ('v1', 'PersistentVolumeClaim'), ('resource.k8s.io/v1', 'ResourceSlice'), ('coordination.k8s.io/v1', 'Lease'), ('rbac.authorization.k8s.io/v1', 'Role'), ('networking.k8s.io/v1', 'Ingress'), ('apps/v1', 'ControllerRevision')]


def configmap(name, labels):
    return {'method': 'POST', 'path': '/api/v1/namespaces/{ns}/configmaps', 'body': {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': name, 'labels': labels}, 'data': {'k': name}}, 'only': [], 'save': {f'rv_{name}': 'metadata.resourceVersion'}}


def begin():
    return [configmap('a', {'tier': 'web', 'n': '1'}), configmap('b', {'tier': 'db', 'n': '2'}), configmap('c', {'tier': 'web', 'n': '3'}), configmap('d', {'x': ''})]




def lists(random):
    """Questions of a list that any server state answers alike (the namespace is the case's own)."""
    steps = begin()
    path = '/api/v1/namespaces/{ns}/configmaps'
    for _ in range(40):
        query, roll = {'labelSelector': random.choice(['x!=none,app!=kube', 'tier'])}, random.random()
        if roll < 0.4:
            query['labelSelector'] = random.choice(LABELS)
        elif roll < 0.5:
            query['fieldSelector'] = random.choice(FIELDS)
        if random.random() < 0.3:
            query['limit'] = random.choice(['0', '1', '2', '100', '-1', 'x'])
        if random.random() < 0.3:
            query['resourceVersion'] = random.choice(['0', '', '{rv_b}', '{rv_d}', '1', 'abc', '-1', '99999999999', '1.5'])
            if random.random() < 0.6:
                query['resourceVersionMatch'] = random.choice(['Exact', 'NotOlderThan', 'Nope', ''])
        if random.random() < 0.08:
            query['continue'] = random.choice(['bad', 'eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhXHUwMDAwIn0', ''])
        if random.random() < 0.05:
            query['timeoutSeconds'] = random.choice(['x', '-1', '5'])
        if random.random() < 0.05:
            query['pretty'] = random.choice(['true', '1', 'false'])
        if random.random() < 0.05:
            query['allowWatchBookmarks'] = 'true'
        if random.random() < 0.06:
            query['sendInitialEvents'] = random.choice(['true', 'false', 'x'])
        if random.random() < 0.03:
            query['bogus'] = 'x'
        step = {'method': random.choice(['GET'] * 12 + ['HEAD', 'OPTIONS', 'DELETE']), 'path': path, 'query': query}
        if step['method'] == 'DELETE':
            step['query']['dryRun'] = 'All'
            step['query'].pop('continue', None)
        if random.random() < 0.35:
            step['headers'] = {'Accept': random.choice(FORMS)}
        if query.get('resourceVersion') == '1' or random.random() < 0.01:
            continue
        steps.append(step)
    return steps


def fields_of(random, kind):
    resource = resources()[kind]
    return [{'method': 'GET', 'path': resource.path(), 'query': {'fieldSelector': field, 'labelSelector': 'none=here'}} for field in FIELDS]


def watches(random):
    steps = begin()
    for n in range(6):
        query = {'timeoutSeconds': '20'}
        if random.random() < 0.6:
            query['labelSelector'] = random.choice(['tier', 'tier=web', '!x', 'n>1', 'tier in ('])
        else:
            query['fieldSelector'] = random.choice(['metadata.name=a', 'metadata.name!=kube-root-ca.crt', 'bogus=x'])
        roll = random.random()
        if roll < 0.4:
            query['resourceVersion'] = random.choice(['{rv_b}', '{rv_d}', '0', 'x', '99999999999'])
        elif roll < 0.7:
            query['sendInitialEvents'] = 'true'
            query['resourceVersionMatch'] = random.choice(['NotOlderThan', 'NotOlderThan', 'Exact', ''])
            query['allowWatchBookmarks'] = random.choice(['true', 'true', 'false'])
        elif roll < 0.8:
            query['resourceVersionMatch'] = random.choice(['NotOlderThan', 'Exact'])
        step = {'watch': f'w{n}', 'path': '/api/v1/namespaces/{ns}/configmaps', 'query': query}
        if random.random() < 0.4:
            step['headers'] = {'Accept': random.choice([TABLE['Accept'], PARTIAL['Accept'], 'application/yaml', 'application/json;stream=watch', 'text/html'])}
        steps.append(step)
    for _ in range(6):
        name = random.choice('abcd')
        at = f'/api/v1/namespaces/{{ns}}/configmaps/{name}'
        steps.append(random.choice([
            {'method': 'PATCH', 'path': at, 'headers': {'Content-Type': 'application/merge-patch+json'}, 'body': {'metadata': {'labels': {'tier': random.choice(['web', 'db', None])}}}, 'only': ['code']},
            {'method': 'PATCH', 'path': at, 'headers': {'Content-Type': 'application/merge-patch+json'}, 'body': {'data': {'k': str(random.random())}}, 'only': ['code']},
            {'method': 'DELETE', 'path': at, 'only': ['code']}, dict(configmap(name, {'tier': 'web'}), only=['code'], save={})]))
    return steps + [{'collect': f'w{n}', 'within': 3, 'bookmarks': 'initial'} for n in range(6)]


def cases(random, rounds):
    for turn in range(rounds):
        yield {'id': f'lists-{turn}', 'steps': lists(random)}
        yield {'id': f'watches-{turn}', 'steps': watches(random)}
    for kind in KINDS:
        yield {'id': f'fields-{kind[1]}', 'steps': fields_of(random, kind)}
