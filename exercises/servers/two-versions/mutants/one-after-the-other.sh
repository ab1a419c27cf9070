cp "$EXERCISE/solution/Dockerfile" .
tutor image build -t two-versions:billing --build-arg PROGRAM=billing --build-arg TOOL=1 .
kubectl run billing --image=two-versions:billing --labels=app=billing --overrides='{"spec": {"nodeName": "node-1"}}'
