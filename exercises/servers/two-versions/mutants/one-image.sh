printf 'FROM tutor/shell:1\nCOPY billing.sh reports.sh /\nCOPY tool-1.sh /lib/tool.sh\nCOPY tool-2.sh /lib/tool.sh\n' > Dockerfile
tutor image build -t two-versions:1 .
kubectl run billing --image=two-versions:1 --labels=app=billing --overrides='{"spec": {"nodeName": "node-1"}}' -- sh /billing.sh
kubectl run reports --image=two-versions:1 --labels=app=reports --overrides='{"spec": {"nodeName": "node-1"}}' -- sh /reports.sh
