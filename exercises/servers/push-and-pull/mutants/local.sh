tutor image build -t push-and-pull:1 .
kubectl create deployment hello --image=push-and-pull:1
