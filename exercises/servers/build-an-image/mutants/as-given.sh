tutor image build -t build-an-image:1 .
kubectl run report --image=build-an-image:1 --labels=app=report
