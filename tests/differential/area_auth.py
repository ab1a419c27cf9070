"""Area 7: roles and bindings at random, then every way to ask what they allow; impersonation, tokens, reviews."""
RBAC = '/apis/rbac.authorization.k8s.io/v1'
ASK = '/apis/authorization.k8s.io/v1'
VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection', '*', 'bind', 'escalate', 'impersonate', 'use']
GROUPS = ['', 'apps', 'batch', '*', 'rbac.authorization.k8s.io', 'example.com']
THINGS = ['pods', 'configmaps', 'secrets', 'deployments', 'pods/log', 'pods/*', '*/scale', '*', 'deployments/scale', 'roles', 'rolebindings', 'serviceaccounts', 'serviceaccounts/token', 'nodes', 'namespaces']
SETTLED = {'until': {'code': 200}, 'settle': 0.3}


def rule(random):
    out = {'apiGroups': random.sample(GROUPS, random.choice([1, 1, 2])), 'resources': random.sample(THINGS, random.choice([1, 2])), 'verbs': random.sample(VERBS, random.choice([1, 2, 3]))}
    if random.random() < 0.3:
        out['resourceNames'] = random.sample(['a', 'b', 'default'], random.choice([1, 2]))
    return out


def made(path, kind, name, **rest):
    return {'method': 'POST', 'path': path, 'body': {'apiVersion': 'rbac.authorization.k8s.io/v1', 'kind': kind, 'metadata': {'name': name}, **rest}}


def attributes(random):
    thing = random.choice(THINGS)
    out = {'verb': random.choice(VERBS), 'group': random.choice(GROUPS), 'resource': thing.split('/')[0], 'namespace': random.choice(['{ns}', '{ns}', 'other', ''])}
    if '/' in thing:
        out['subresource'] = thing.split('/')[1]
    if random.random() < 0.4:
        out['name'] = random.choice(['a', 'b', 'default', 'c'])
    if random.random() < 0.2:
        out['version'] = random.choice(['v1', '*'])
    if random.random() < 0.1:
        out[random.choice(['labelSelector', 'fieldSelector'])] = random.choice([{'rawSelector': 'a=b'}, {'requirements': [{'key': 'a', 'operator': 'In', 'values': ['b']}]}, {}, {'rawSelector': 'a=b', 'requirements': []}])
    return {k: v for k, v in out.items() if v or random.random() < 0.5}


def review(random, user):
    spec = {}
    roll = random.random()
    if roll < 0.8:
        spec['resourceAttributes'] = attributes(random)
    if roll > 0.75:
        spec['nonResourceAttributes'] = random.choice([{'path': '/healthz', 'verb': 'get'}, {'path': '/x', 'verb': 'post'}, {'path': '/apis/', 'verb': 'get'}, {'path': '', 'verb': ''}])
    if random.random() < 0.95:
        spec['user'] = random.choice([user, user, user, 'other', 'system:serviceaccount:{ns}:default', 'system:anonymous', ''])
    if random.random() < 0.4:
        spec['groups'] = random.sample(['team-{u}', 'system:masters', 'system:authenticated', 'system:nodes', ''], 1)
    if random.random() < 0.1:
        spec['extra'] = {'k': ['v']}
    if random.random() < 0.1:
        spec['uid'] = 'u'
    local = random.random() < 0.2
    kind = 'LocalSubjectAccessReview' if local else 'SubjectAccessReview'
    body = {'apiVersion': 'authorization.k8s.io/v1', 'kind': kind, 'spec': spec}
    if random.random() < 0.05:
        body['metadata'] = {'name': 'x'}
    if local and random.random() < 0.8:
        body['metadata'] = {'namespace': '{ns}'}
    return {'method': 'POST', 'path': f'{ASK}/namespaces/{{ns}}/localsubjectaccessreviews' if local else f'{ASK}/subjectaccessreviews', 'body': body, 'keep': ['status']}


def impersonated(random, user):
    headers = {'Impersonate-User': random.choice([user, user, 'system:serviceaccount:{ns}:default', 'system:admin', 'system:node:n1', 'plain'])}
    if random.random() < 0.3:
        headers['Impersonate-Group'] = random.choice(['team-{u}', 'system:masters', 'x'])
    if random.random() < 0.1:
        headers['Impersonate-Uid'] = 'u1'
    if random.random() < 0.1:
        headers['Impersonate-Extra-Scopes'] = 'a'
    if random.random() < 0.05:
        headers.pop('Impersonate-User')
    return headers


def question(random, user):
    headers = impersonated(random, user)
    ns = random.choice(['/api/v1/namespaces/{ns}', '/api/v1/namespaces/{ns}', '/api/v1/namespaces/other', '/api/v1'])
    paths = [f'{ns}/pods', f'{ns}/configmaps', f'{ns}/secrets', '/api/v1/namespaces/{ns}/configmaps/a', '/api/v1/nodes', '/api/v1/namespaces/{ns}', '/api/v1/namespaces', '/apis/apps/v1/namespaces/{ns}/deployments/x/scale', '/healthz', '/metrics', '/apis',
             '/version', '/logs', '/api/v1/namespaces/{ns}/pods/x/log', '/api/v1/namespaces/{ns}/serviceaccounts/default/token', f'{RBAC}/clusterroles', '/apis/nothing.io/v1/things', '/api/v1/bogus']
    method = random.choice(['GET'] * 6 + ['POST', 'PUT', 'PATCH', 'DELETE'])
    step = {'method': method, 'path': random.choice(paths), 'headers': headers, 'query': {} if method == 'GET' else {'dryRun': 'All'}}
    if method == 'GET' and random.random() < 0.2:
        step['query'] = {'watch': 'true', 'timeoutSeconds': '1', 'resourceVersion': 'x'}
    if method in ('POST', 'PUT'):
        step['body'] = {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'a'}}
    if method == 'PATCH':
        step['body'], headers['Content-Type'] = {'metadata': {'labels': {'a': 'b'}}}, 'application/merge-patch+json'
    return step


def escalation(random, user):
    headers = {'Impersonate-User': user}
    roll = random.random()
    if roll < 0.5:
        step = made(f'{RBAC}/namespaces/{{ns}}/roles', 'Role', 'more', rules=[rule(random) for _ in range(random.choice([1, 2]))])
    else:
        ref = random.choice([('Role', 'r0'), ('Role', 'none'), ('ClusterRole', 'view'), ('ClusterRole', 'system:basic-user'), ('ClusterRole', 'cr-{u}')])
        step = made(f'{RBAC}/namespaces/{{ns}}/rolebindings', 'RoleBinding', 'more', roleRef={'apiGroup': 'rbac.authorization.k8s.io', 'kind': ref[0], 'name': ref[1]}, subjects=[{'kind': 'User', 'name': 'x', 'apiGroup': 'rbac.authorization.k8s.io'}])
    return dict(step, headers=headers, query={'dryRun': 'All'})


def others(random):
    spec = random.choice([{}, {'audiences': ['a']}, {'expirationSeconds': 60}, {'expirationSeconds': 600}, {'expirationSeconds': 2 ** 33}, {'boundObjectRef': {'kind': 'Pod', 'apiVersion': 'v1', 'name': 'none'}}, {'boundObjectRef': {'kind': 'Secret', 'apiVersion': 'v1', 'name': 'none', 'uid': 'x'}},
                          {'boundObjectRef': {'kind': 'Node', 'apiVersion': 'v1', 'name': 'none'}}, {'boundObjectRef': {'kind': 'ConfigMap', 'apiVersion': 'v1', 'name': 'x'}}, {'audiences': ['']}, {'boundObjectRef': {}}])
    token = {'method': 'POST', 'path': f"/api/v1/namespaces/{{ns}}/serviceaccounts/{random.choice(['default', 'none'])}/token", 'body': {'apiVersion': 'authentication.k8s.io/v1', 'kind': 'TokenRequest', 'spec': spec}, 'ignore': ['status.token'], 'keep': ['status']}
    return random.choice([token, token,
                          {'method': 'POST', 'path': '/apis/authentication.k8s.io/v1/tokenreviews', 'keep': ['status'], 'body': {'apiVersion': 'authentication.k8s.io/v1', 'kind': 'TokenReview', 'spec': random.choice([{'token': 'bad'}, {}, {'token': 'a.b.c', 'audiences': ['x']}])}},
                          {'method': 'POST', 'path': '/apis/authentication.k8s.io/v1/selfsubjectreviews', 'keep': ['status'], 'body': {'apiVersion': 'authentication.k8s.io/v1', 'kind': 'SelfSubjectReview'}, 'headers': {'Impersonate-User': 'jane', 'Impersonate-Group': 'g', 'Impersonate-Extra-A': 'b', 'Impersonate-Uid': 'u'}},
                          {'method': 'GET', 'path': random.choice(['/api/v1/namespaces', '/healthz', '/version', '/openapi/v3', '/livez', '/apis']), 'auth': random.choice(['none', 'bearer:bad', 'bearer:'])}])


def cases(random, rounds):
    for turn in range(rounds * 6):
        user = 'jane-{u}'
        steps = [{'method': 'POST', 'path': '/api/v1/namespaces/{ns}/configmaps', 'body': {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'a'}}, 'only': []}]
        for n in range(2):
            steps.append(made(f'{RBAC}/namespaces/{{ns}}/roles', 'Role', f'r{n}', rules=[rule(random) for _ in range(random.choice([1, 2]))]))
            steps.append(made(f'{RBAC}/namespaces/{{ns}}/rolebindings', 'RoleBinding', f'b{n}', roleRef={'apiGroup': 'rbac.authorization.k8s.io', 'kind': 'Role', 'name': f'r{n}'},
                              subjects=[random.choice([{'kind': 'User', 'name': user, 'apiGroup': 'rbac.authorization.k8s.io'}, {'kind': 'Group', 'name': 'team-{u}', 'apiGroup': 'rbac.authorization.k8s.io'}, {'kind': 'ServiceAccount', 'name': 'default', 'namespace': '{ns}'}])]))
        steps.append(made(f'{RBAC}/clusterroles', 'ClusterRole', 'cr-{u}', rules=[rule(random), {'nonResourceURLs': [random.choice(['/metrics', '/logs/*', '*'])], 'verbs': ['get']}]))
        steps.append(made(f'{RBAC}/clusterrolebindings', 'ClusterRoleBinding', 'crb-{u}', roleRef={'apiGroup': 'rbac.authorization.k8s.io', 'kind': 'ClusterRole', 'name': 'cr-{u}'}, subjects=[{'kind': 'User', 'name': random.choice([user, 'nobody-{u}']), 'apiGroup': 'rbac.authorization.k8s.io'}]))
        steps += [{'method': 'POST', 'path': '/api/v1/namespaces/{ns}/configmaps', 'query': {'dryRun': 'All'}, 'body': {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'z'}}, 'only': []}, {'sleep': 0.4}]
        makers = [review, review, review, question, question, escalation]
        for _ in range(36):
            steps.append(random.choice(makers)(random, user) if random.random() < 0.85 else others(random))
        steps.append({'method': 'POST', 'path': f'{ASK}/selfsubjectrulesreviews', 'headers': {'Impersonate-User': user}, 'keep': ['status'], 'unordered': ['status.resourceRules', 'status.nonResourceRules'], 'body': {'apiVersion': 'authorization.k8s.io/v1', 'kind': 'SelfSubjectRulesReview', 'spec': random.choice([{'namespace': '{ns}'}, {}])}})
        yield {'id': f'auth-{turn}', 'steps': steps}
