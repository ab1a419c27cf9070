"""Sends a case to both servers and says where the answers differ; groups differences by what they have in common."""
import concurrent.futures, copy, json, os, re, sys
from facts import SHARED
sys.path.insert(0, os.path.join(SHARED, 'golden'))
sys.dont_write_bytecode = True
import golden


class Difference:
    """One step answered differently: the case, the step's place, and both answers."""

    def __init__(self, case, at, want, got):
        self.case, self.at, self.want, self.got = case, at, want, got
        self.paths = golden.differences(want, got)
        self.wording = all(golden.is_wording(*d) for d in self.paths)

    @property
    def step(self):
        return self.case['steps'][self.at]

    def group(self):
        """Differences with the same group are most likely one defect."""
        want, got = status(self.want), status(self.got)
        if want is None or got is None:
            codes = f"{self.want.get('code')}→{self.got.get('code')}"
            if self.want.get('code') != self.got.get('code'):
                said = want or got
                return f"{codes} {self.kind()} {general(said['message']) if said and not said['causes'] else sorted(said['causes']) if said else ''}"
            return f"{codes} {self.kind()} " + '; '.join(sorted({f'{general(p)} {golden.short(w)[:90]} → {golden.short(g)[:90]}' for p, w, g in self.paths})[:4])
        missing, extra = sorted(want['causes'] - got['causes']), sorted(got['causes'] - want['causes'])
        if missing or extra:
            return f'causes: missing {missing} extra {extra}'
        if want['code'] != got['code'] or general(want['message']) != general(got['message']):
            return f"{want['code']} {general(want['message'])[:200]} → {got['code']} {general(got['message'])[:200]}"
        return f'{want["code"]} ' + '; '.join(sorted({general(p) for p, _, _ in self.paths}))

    def kind(self):
        body = self.step.get('body')
        return body.get('kind', '') if isinstance(body, dict) else ''

    def replay(self):
        """The case cut to what this step needs: the steps before it that wrote something, and itself with the right answer."""
        before = [copy.deepcopy(s) for s in self.case['steps'][:self.at] if 'dryRun' not in (s.get('query') or {}) and (s.get('method') != 'GET' or s.get('save') or 'until' in s) or 'watch' in s]
        out = {k: copy.deepcopy(v) for k, v in self.case.items() if k not in ('steps', 'id', 'file')}
        out['steps'] = before + [dict(copy.deepcopy(self.step), answer=self.want)]
        return out


def status(answer):
    body = answer.get('body')
    if not isinstance(body, dict) or body.get('kind') != 'Status':
        return None
    causes = (body.get('details') or {}).get('causes') or []
    return {'code': answer.get('code'), 'message': str(body.get('message')),
            'causes': {f"{general(str(c.get('field')))} {c.get('reason')} {general(str(c.get('message')))[:150]}" for c in causes}}


PREFIX = re.compile(r'^spec\.(jobTemplate\.spec\.)?template\.')


def general(text):
    """Without what differs from object to object: indexes, quoted words, numbers, JSON."""
    text = PREFIX.sub('', text)
    text = re.sub(r'\[\d+\]', '[*]', text)
    text = re.sub(r'Invalid value: (\{.*\}|\[.*\])', 'Invalid value: {…}', text)
    text = re.sub(r'(Invalid value|Unsupported value|Duplicate value|Not found): ("(?:[^"\\]|\\.)*"|-?[\d.]+)', r'\1: …', text)
    return text


OWN = [(re.compile(r'(resourceVersion[\\\\"]*:[\\\\"]*)\d+'), r'\g<1><rv>'), (re.compile(r'(in record \()\d+\)'), r'\g<1><rv>)'), (re.compile(r'X509SHA256=[0-9a-f]{64}'), '<certificate>'), (re.compile(r'selfType\d+'), 'selfType')]


def own(value):
    """Without what is each server's own inside longer texts."""
    if isinstance(value, dict):
        return {k: ('<certificate>' if k == 'ca.crt' else own(v)) for k, v in value.items()}
    if isinstance(value, list):
        return [own(v) for v in value]
    if isinstance(value, str):
        for pattern, to in OWN:
            value = pattern.sub(to, value)
    return value


class Pair:
    """The official server and the one under test."""

    def __init__(self, oracle, tutor):
        self.oracle, self.tutor = golden.Client(oracle), golden.Client(tutor)
        for client in (self.oracle, self.tutor):
            golden.check_server(client)

    def try_case(self, case):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            runs = [golden.Run(client, copy.deepcopy(case), recording=True) for client in (self.oracle, self.tutor)]
            want, got = [[own(a) for a in f.result()] for f in [pool.submit(run.go) for run in runs]]
        for run in runs:
            for note in run.notes:
                print(f'  trouble at {run.client.server}: {note}', file=sys.stderr)
        return [Difference(case, n, w, g) for n, (w, g) in enumerate(zip(want, got)) if w is not None and golden.differences(w, g)], sum(w is not None for w in want)

    def try_all(self, cases, jobs):
        """Differences of all cases, in order, and the number of answers compared."""
        found, answers = [], 0
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for future in [pool.submit(self.try_case, case) for case in cases]:
                differences, count = future.result()
                found += differences
                answers += count
        return found, answers
