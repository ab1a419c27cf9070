"""Area 8: CustomResourceDefinitions with random schemas, good and bad, rules in CEL, and random objects of those that are good."""
import copy, json

PATH = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
FORMATS = ['date-time', 'date', 'email', 'ipv4', 'ipv6', 'uuid', 'uri', 'byte', 'int32', 'int64', 'double', 'hostname', 'cidr', 'mac', 'duration', 'password', 'nope', 'bsonobjectid', 'isbn', 'hexcolor', 'rgbcolor', 'creditcard', 'ssn', 'datetime', 'k8s-short-name', 'uuid4', 'float']
TEXTS = ['', 'a', 'abc', 'A-b', '2020-01-01', '2020-01-01T00:00:00Z', 'yesterday', 'a@example.com', '10.0.0.1', '::1', '10.0.0.0/8', '1h', '5m3s', 'http://x.io/a', 'aGk=', '!', 'x' * 30, '123e4567-e89b-12d3-a456-426614174000', 'web', '1Gi', 'é', '#fff', '01:23:45:67:89:ab', '1.5']
RULES = {
    'object': ['self.a > 1', 'has(self.a)', '!has(self.a) || self.a >= 0', 'self.a == oldSelf.a', 'self.nope == 1', 'self.a', "self.s == 'x'", 'self.a + self.s', 'size(self) > 0', 'self.all(k, k != "z")', 'self.?a.orValue(3) > 2', "self.s.startsWith('a')", 'self == self', 'true', 'false', 'self.a <', '', 'oldSelf.?a.hasValue()', 'self.list.all(x, x > 1)', 'self.map.a == "b"', 'type(self.a) == int', 'self.s.size() < 5 && self.a < 10', 'self["a"] > 1', 'foo(self)', 'self.a > "x"', 'self.a / 0 == 1'],
    'string': ["self.matches('^a')", 'self.size() > 2', "self in ['a', 'b']", "self == 'a' || self == 'b'", "self.find('[0-9]+') != ''", 'isURL(self)', 'url(self).getHost() != ""', 'quantity(self).isGreaterThan(quantity("1"))', 'isQuantity(self)', 'ip(self).family() == 4', 'isIP(self)', 'cidr(self).containsIP("10.0.0.1")', 'isCIDR(self)', "format.dns1123Label().validate(self).hasValue() == false", "self.split(',').size() < 3", 'self.lowerAscii() == self', 'self == oldSelf', 'self.charAt(0) == "a"', 'self.replace("a", "b") != self', 'self.trim() == self', 'int(self) > 1', 'duration(self) > duration("1m")', 'timestamp(self) > timestamp("2000-01-01T00:00:00Z")', 'self > 1', 'self.matches("[")', 'semver(self).major() == 1', 'isSemver(self)', 'self.reverse() == self', "'%s'.format([self]) == 'a'", "self.indexOf('b') == 1", "self.substring(1) == 'b'"],
    'integer': ['self > 1', 'self % 2 == 0', 'self == oldSelf', 'self >= oldSelf', 'self in [1, 2, 3]', 'string(self) == "1"', 'self > 1.5', 'double(self) > 1.5', '1 / self > 0', 'self < 10 ? self > 0 : false', 'math.greatest(self, 3) == 3', 'self.foo', 'uint(self) > 1u'],
    'array': ['self.size() > 1', 'self.all(x, x > 1)', 'self.exists(x, x == 1)', 'self.exists_one(x, x == 2)', 'self.map(x, x + 1).size() > 0', 'self.filter(x, x > 1).size() == 1', 'self.isSorted()', 'self.sum() < 10', 'self.min() > 0', 'self.max() < 5', 'self.indexOf(1) == 0', 'self[0] == 1', 'self == oldSelf', "self.all(x, self.exists_one(y, x == y))", 'self.map(x, x > 1, x * 2).sum() > 3', 'self.all(x, x.startsWith("a"))', 'sets.contains(self, [1])', 'self.first().hasValue()', 'self.all(i, v, v > i)'],
    'boolean': ['self', '!self', 'self == true', 'self || oldSelf', 'self == 1'],
    'number': ['self > 1.5', 'self > 1', 'math.ceil(self) > 1.0'],
}
STATUS = {'type': 'object', 'x-kubernetes-preserve-unknown-fields': True}


def schema(random, depth=0, clean=True):
    kind = random.choice(['string', 'integer', 'boolean', 'number'] + ['object', 'array'] * (2 if depth < 2 else 0))
    out = {'type': kind}
    maybe = lambda share: random.random() < share
    if kind == 'string':
        if maybe(0.25):
            out['format'] = random.choice(FORMATS)
        if maybe(0.2):
            out['pattern'] = random.choice(['^[a-z]+$', '^a', '[0-9]{2,}'] + ([] if clean else ['[', '(?<x>a)']))
        if maybe(0.15):
            out['enum'] = random.choice([['a', 'b'], ['web']])
        if maybe(0.2):
            out['maxLength'] = random.choice([3, 10])
        if maybe(0.15):
            out['minLength'] = random.choice([1, 2])
        if maybe(0.15):
            out['default'] = random.choice(['a', 'web'] + ([] if clean else [1]))
    if kind in ('integer', 'number'):
        if maybe(0.3):
            out['minimum'] = random.choice([0, 1] + ([2.5] if kind == 'number' else []))
            out['exclusiveMinimum'] = random.choice([True, False])
        if maybe(0.3):
            out['maximum'] = 10
        if maybe(0.1):
            out['multipleOf'] = 2
        if maybe(0.15):
            out['format'] = random.choice(['int32', 'int64'] if kind == 'integer' else ['double', 'float'])
        if maybe(0.15):
            out['default'] = random.choice([2, 4] + ([] if clean else ['x', -5]))
    if kind == 'boolean' and maybe(0.2):
        out['default'] = True
    if kind == 'array':
        out['items'] = schema(random, depth + 1, clean)
        if maybe(0.3):
            out['maxItems'] = random.choice([2, 5])
        if maybe(0.2):
            out['minItems'] = 1
        if maybe(0.15):
            out['x-kubernetes-list-type'] = random.choice(['set', 'atomic'])
        if maybe(0.1) and not clean:
            out['uniqueItems'] = True
        if maybe(0.25):
            out['items'] = {'type': 'object', 'required': ['name'], 'properties': {'name': {'type': 'string'}, 'v': schema(random, 3, clean)}}
            out['x-kubernetes-list-type'], out['x-kubernetes-list-map-keys'] = 'map', ['name'] if clean or maybe(0.7) else ['nope']
    if kind == 'object':
        if maybe(0.25):
            out['additionalProperties'] = schema(random, depth + 1, clean)
            if maybe(0.3):
                out['maxProperties'] = 2
        else:
            out['properties'] = {k: schema(random, depth + 1, clean) for k in random.sample(['a', 's', 'list', 'map', 'b', 'c'], random.choice([1, 2, 3]))}
            if maybe(0.3):
                out['required'] = [random.choice(sorted(out['properties']))]
            if maybe(0.1):
                out['x-kubernetes-preserve-unknown-fields'] = True
    if maybe(0.1):
        out['nullable'] = True
    if maybe(0.06):
        out = {'x-kubernetes-int-or-string': True}
        if maybe(0.4):
            out['anyOf'] = [{'type': 'integer'}, {'type': 'string'}]
    if kind in RULES and maybe(0.3 if clean else 0.2) and 'type' in out:
        out['x-kubernetes-validations'] = [rule_of(random, kind)]
    if maybe(0.05) and kind in ('integer', 'string'):
        out[random.choice(['anyOf', 'oneOf', 'allOf'])] = [{'minimum': 2}, {'maximum': 5}] if kind == 'integer' else [{'pattern': '^a'}, {'maxLength': 4}]
    if maybe(0.03):
        out['not'] = {'enum': ['a', 2]}
    return out


def rule_of(random, kind):
    out = {'rule': random.choice(RULES[kind])}
    if random.random() < 0.4:
        out['message'] = random.choice(['must be so', 'a\nb', '', ' '])
    if random.random() < 0.15:
        out['messageExpression'] = random.choice(["'was ' + string(self)", "'bad'", '1', "''", "'x' + self.a", 'self.'])
    if random.random() < 0.15:
        out['reason'] = random.choice(['FieldValueForbidden', 'FieldValueRequired', 'FieldValueDuplicate', 'FieldValueInvalid', 'Nope'])
    if random.random() < 0.15:
        out['fieldPath'] = random.choice(['.a', '.s', '.nope', 'a', ".map['a']", '.list[0]', ''])
    if random.random() < 0.08:
        out['optionalOldSelf'] = True
    return out


def value(random, schema, wrong=0.1, depth=0):
    if random.random() < wrong / 2:
        return random.choice([None, 'text', 3, 1.5, True, [], {}, ['a', 'a'], {'a': 1}])
    if 'x-kubernetes-int-or-string' in schema:
        return random.choice([1, '10%', 'x'])
    kind = schema.get('type')
    if kind == 'string':
        return random.choice(schema.get('enum', []) + TEXTS)
    if kind == 'integer':
        return random.choice([0, 1, 2, 3, 4, 10, 11, -1, 3000000000])
    if kind == 'number':
        return random.choice([0, 1, 1.5, 2, 2.5, 10, 11.25])
    if kind == 'boolean':
        return random.choice([True, False])
    if kind == 'array':
        out = [value(random, schema['items'], wrong, depth + 1) for _ in range(random.choice([0, 1, 2, 3]))]
        return out + out[:1] if random.random() < 0.2 else out
    if 'additionalProperties' in schema:
        return {k: value(random, schema['additionalProperties'], wrong, depth + 1) for k in random.sample(['a', 'b', 'z'], random.choice([0, 1, 3]))}
    out = {k: value(random, s, wrong, depth + 1) for k, s in (schema.get('properties') or {}).items() if random.random() < 0.75}
    if random.random() < 0.12:
        out['unknown'] = random.choice([1, {'x': 'y'}])
    return out


def definition(spec, **more):
    version = {'name': 'v1', 'served': True, 'storage': True, 'schema': {'openAPIV3Schema': {'type': 'object', 'properties': {'spec': spec, 'status': STATUS}}}}
    version.update(more)
    return {'apiVersion': 'apiextensions.k8s.io/v1', 'kind': 'CustomResourceDefinition', 'metadata': {'name': 'things.{u}.example.com'},
            'spec': {'group': '{u}.example.com', 'scope': 'Namespaced', 'names': {'plural': 'things', 'singular': 'thing', 'kind': 'Thing'}, 'versions': [version]}}


def objects(random, spec):
    steps = []
    path = '/apis/{u}.example.com/v1/namespaces/{ns}/things'
    thing = lambda name, clean=False: {'apiVersion': '{u}.example.com/v1', 'kind': 'Thing', 'metadata': {'name': name}, 'spec': value(random, spec, 0 if clean else 0.1)}
    for n in range(10):
        query = {'dryRun': 'All'}
        if random.random() < 0.2:
            query['fieldValidation'] = random.choice(['Strict', 'Warn', 'Ignore'])
        steps.append({'method': 'POST', 'path': path, 'query': query, 'body': thing('t')})
    for name in ('a', 'b', 'c'):
        steps.append({'method': 'POST', 'path': path, 'body': thing(name, True)})
        steps.append({'method': 'PATCH', 'path': f'{path}/{name}', 'headers': {'Content-Type': 'application/merge-patch+json'}, 'body': {'spec': value(random, spec, 0.05)}})
        steps.append({'method': 'PATCH', 'path': f'{path}/{name}', 'query': {'fieldManager': 'gm-a', 'force': 'true'}, 'keep': ['managedFields'], 'headers': {'Content-Type': 'application/apply-patch+yaml'}, 'body': thing(name, True)})
        steps.append({'method': 'PATCH', 'path': f'{path}/{name}', 'query': {'fieldManager': 'gm-b'}, 'keep': ['managedFields'], 'headers': {'Content-Type': 'application/apply-patch+yaml'}, 'body': thing(name, True)})
    steps.append({'method': 'GET', 'path': path})
    steps.append({'method': 'GET', 'path': path, 'headers': {'Accept': 'application/json;as=Table;v=v1;g=meta.k8s.io'}})
    return steps


COLUMNS = [{'name': 'A', 'type': 'string', 'jsonPath': '.spec.a'}, {'name': 'S', 'type': 'integer', 'jsonPath': '.spec.s'}, {'name': 'L', 'type': 'string', 'jsonPath': '.spec.list[0]', 'priority': 1}, {'name': 'All', 'type': 'string', 'jsonPath': '.spec.list[*]'}, {'name': 'When', 'type': 'date', 'jsonPath': '.metadata.creationTimestamp'},
           {'name': 'N', 'type': 'number', 'jsonPath': '.spec.b', 'format': 'double'}, {'name': 'M', 'type': 'boolean', 'jsonPath': '.spec.c', 'description': 'c'}, {'name': 'Map', 'type': 'string', 'jsonPath': '.spec.map'}]


def broken(random):
    """A definition with something changed that may be wrong."""
    crd = definition(schema(random, 0, False))
    spec, version = crd['spec'], crd['spec']['versions'][0]
    ways = [
        lambda: spec.update(scope=random.choice(['', 'Other', 'Cluster'])), lambda: spec['names'].update(kind=random.choice(['', 'thing', 'Bad_Kind', 'Thing2', 'x' * 70])),
        lambda: spec['names'].update(plural=random.choice(['Things', '', 'other'])), lambda: spec['names'].update(singular=random.choice(['Thing', 'x y', ''])), lambda: spec['names'].update(shortNames=random.choice([['T'], ['th', 'th'], ['po']])),
        lambda: spec['names'].update(listKind=random.choice(['Thing', 'thingList', 'Things'])), lambda: spec['names'].update(categories=random.choice([['All'], ['all', 'x']])), lambda: spec.update(group=random.choice(['', 'example', 'Bad.io'])),
        lambda: version.update(name=random.choice(['', 'V1', 'v1.0', 'v1beta1', 'x' * 70])), lambda: version.update(served='x'), lambda: version.update(storage=False), lambda: version.pop('schema'), lambda: version.update(schema={}),
        lambda: version.update(subresources=random.choice([{'status': {}}, {'scale': {}}, {'scale': {'specReplicasPath': '.spec.a', 'statusReplicasPath': '.status.r'}}, {'scale': {'specReplicasPath': 'spec.a', 'statusReplicasPath': '.spec.r', 'labelSelectorPath': 'x'}}, {'scale': {'specReplicasPath': '.spec[0]', 'statusReplicasPath': '.status.r[1]'}}])),
        lambda: version.update(additionalPrinterColumns=[dict(random.choice(COLUMNS), **random.choice([{'type': 'nope'}, {'jsonPath': 'spec.a'}, {'jsonPath': ''}, {'name': ''}, {'format': 'nope'}, {'priority': -1}, {'jsonPath': '.spec[', 'type': 'string'}]))]),
        lambda: version.update(deprecated=True, deprecationWarning=random.choice(['', 'old', 'x' * 300, 'a\nb'])), lambda: version.update(deprecationWarning='x'), lambda: version.update(selectableFields=random.choice([[{'jsonPath': '.spec.a'}], [{'jsonPath': 'x'}], [{'jsonPath': '.metadata.name'}], [{'jsonPath': '.spec.nope'}], [{'jsonPath': '.spec.list[0]'}], [{'jsonPath': '.spec.a'}, {'jsonPath': '.spec.a'}]])),
        lambda: spec['versions'].append(dict(copy.deepcopy(version), storage=random.choice([True, False]), name=random.choice(['v1', 'v2']))), lambda: spec.update(conversion=random.choice([{'strategy': 'None'}, {'strategy': 'Webhook'}, {'strategy': 'Nope'}, {'strategy': 'None', 'webhook': {'conversionReviewVersions': ['v1']}}, {'strategy': 'Webhook', 'webhook': {'conversionReviewVersions': [], 'clientConfig': {'url': 'http://x'}}},
               {'strategy': 'Webhook', 'webhook': {'conversionReviewVersions': ['v1'], 'clientConfig': {'service': {'name': 'x'}}}}, {'strategy': 'Webhook', 'webhook': {'conversionReviewVersions': ['v9'], 'clientConfig': {'url': 'https://x.io', 'caBundle': 'eA=='}}}])),
        lambda: spec.update(preserveUnknownFields=True), lambda: spec.update(versions=[]), lambda: crd['metadata'].update(name=random.choice(['x', 'other.{u}.example.com', 'things.example.com'])), lambda: crd['metadata'].update(annotations={'api-approved.kubernetes.io': 'x'}),
        lambda: inner(version)['properties'].update(spec=hurt(random, schema(random, 0, False))), lambda: inner(version)['properties'].update(spec=hurt(random, schema(random, 0, False))), lambda: inner(version)['properties'].update(spec=hurt(random, schema(random, 0, False))), lambda: inner(version)['properties'].update(spec=hurt(random, schema(random, 0, False))),
        lambda: inner(version).update(type=random.choice(['string', '', 'array'])), lambda: inner(version).update({'x-kubernetes-preserve-unknown-fields': True}), lambda: inner(version)['properties'].update(metadata=random.choice([{'type': 'object'}, {'type': 'object', 'properties': {'name': {'type': 'string', 'maxLength': 3}}}, {'type': 'object', 'properties': {'labels': {'type': 'object'}}}, {'type': 'string'}])),
        lambda: inner(version).update({'x-kubernetes-validations': [{'rule': random.choice(['self.metadata.name.size() < 3', 'self.metadata.labels.size() > 1', 'has(self.spec)', 'self.spec == oldSelf.spec', 'self.kind == "Thing"', 'self.metadata.generateName == ""', 'self.metadata.nope', 'has(self.status)'])}]}),
    ]
    for _ in range(random.choice([1, 1, 2])):
        try:
            random.choice(ways)()
        except KeyError:
            pass
    return crd


def inner(version):
    return version['schema']['openAPIV3Schema']


def hurt(random, spec):
    """A schema with something that is not allowed, somewhere."""
    here = spec
    while random.random() < 0.6 and isinstance(here, dict) and (here.get('properties') or here.get('items')):
        here = random.choice(list(here['properties'].values())) if here.get('properties') else here['items']
    here.update(random.choice([
        {'type': ''}, {'type': 'nope'}, {'type': 'null'}, {'$ref': '#/x'}, {'definitions': {'a': {'type': 'string'}}}, {'dependencies': {'a': ['b']}}, {'patternProperties': {'a': {'type': 'string'}}}, {'additionalItems': False}, {'id': 'x'}, {'uniqueItems': True}, {'nullable': True, 'default': None},
        {'x-kubernetes-int-or-string': True}, {'x-kubernetes-embedded-resource': True}, {'x-kubernetes-list-type': 'bogus'}, {'x-kubernetes-list-map-keys': ['a']}, {'x-kubernetes-list-type': 'map'}, {'x-kubernetes-map-type': 'bogus'}, {'x-kubernetes-map-type': 'granular'}, {'additionalProperties': False}, {'additionalProperties': True, 'properties': {'a': {'type': 'string'}}},
        {'items': [{'type': 'string'}]}, {'items': {}}, {'allOf': [{'type': 'string'}]}, {'anyOf': [{'default': 1}]}, {'oneOf': [{'properties': {'zz': {'minimum': 1}}}]}, {'not': {'description': 'x'}}, {'allOf': [{'properties': {'a': {'type': 'string'}}}]}, {'default': {'a': {'b': 1}}}, {'default': 'x'}, {'default': []}, {'enum': []}, {'enum': ['a', 'a']}, {'pattern': '['},
        {'minimum': 5, 'maximum': 1}, {'minLength': -1}, {'maxItems': -2}, {'multipleOf': 0}, {'required': ['zz']}, {'required': ['a', 'a']}, {'x-kubernetes-preserve-unknown-fields': False}, {'x-kubernetes-preserve-unknown-fields': True}, {'format': 'nope'}, {'title': 'x', 'description': 'y', 'example': 1, 'externalDocs': {'url': 'x'}}, {'x-kubernetes-validations': [{'rule': ''}]},
        {'x-kubernetes-validations': [{'rule': 'self.a ==', 'message': ''}]}, {'x-kubernetes-validations': [{'rule': 'true', 'message': 'x\ny'}]}, {'x-kubernetes-validations': [{'rule': 'true', 'reason': 'Nope'}]}, {'x-kubernetes-validations': [{'rule': 'true', 'fieldPath': '.nope'}]}, {'x-kubernetes-validations': [{'rule': 'self', 'messageExpression': '1'}]}, {'x-kubernetes-validations': [{'rule': 'true', 'optionalOldSelf': True}]}, {'bogus': 1}]))
    return spec


def cases(random, rounds):
    for turn in range(rounds * 12):
        spec = {'type': 'object', 'properties': {k: schema(random, 1) for k in random.sample(['a', 's', 'list', 'map', 'b', 'c'], 4)}}
        more = {'subresources': {'status': {}}} if random.random() < 0.3 else {}
        if random.random() < 0.5:
            more['additionalPrinterColumns'] = random.sample(COLUMNS, 3)
        steps = [{'method': 'POST', 'path': PATH, 'body': definition(spec, **more), 'ignore': ['status']},
                 {'method': 'GET', 'path': '/apis/{u}.example.com/v1/namespaces/{ns}/things', 'until': {'code': 200}, 'within': 1, 'settle': 0.3, 'skip': ['body', 'type', 'warnings']}]
        yield {'id': f'objects-{turn}', 'steps': steps + objects(random, spec)}
    for turn in range(rounds * 4):
        yield {'id': f'definitions-{turn}', 'namespace': False, 'steps': [{'method': 'POST', 'path': PATH, 'query': {'dryRun': 'All'}, 'body': broken(random), 'ignore': ['status']} for _ in range(30)]}
    for kind, rules in RULES.items():
        inside = {'object': {'type': 'object', 'properties': {'a': {'type': 'integer'}, 's': {'type': 'string', 'maxLength': 10}, 'list': {'type': 'array', 'maxItems': 5, 'items': {'type': 'integer'}}, 'map': {'type': 'object', 'maxProperties': 4, 'additionalProperties': {'type': 'string'}}}},
                  'array': {'type': 'array', 'maxItems': 10, 'items': {'type': 'integer'}}, 'string': {'type': 'string', 'maxLength': 40}}.get(kind, {'type': kind})
        yield {'id': f'rules-{kind}', 'namespace': False, 'steps': [{'method': 'POST', 'path': PATH, 'query': {'dryRun': 'All'}, 'ignore': ['status'], 'only': ['message'],
               'body': definition({'type': 'object', 'properties': {'x': dict(inside, **{'x-kubernetes-validations': [{'rule': rule}]})}})} for rule in rules]}
        good = [r for r in rules]
        for n, rule in enumerate(good):
            spec = {'type': 'object', 'properties': {'x': dict(inside, **{'x-kubernetes-validations': [{'rule': rule}]})}}
            path = '/apis/{u}.example.com/v1/namespaces/{ns}/things'
            steps = [{'method': 'POST', 'path': PATH, 'body': definition(spec), 'only': []}, {'method': 'GET', 'path': path, 'until': {'code': 200}, 'within': 1, 'settle': 0.3, 'skip': ['body', 'type', 'warnings']}]
            for turn in range(8 if rounds else 0):
                steps.append({'method': 'POST', 'path': path, 'query': {'dryRun': 'All'}, 'only': ['message', 'spec'], 'body': {'apiVersion': '{u}.example.com/v1', 'kind': 'Thing', 'metadata': {'name': 't'}, 'spec': {'x': value(random, inside, 0.02)}}})
            yield {'id': f'rule-{kind}-{n}', 'steps': steps}
