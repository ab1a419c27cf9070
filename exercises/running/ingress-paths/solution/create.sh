kubectl delete ingress demo
kubectl create ingress demo --class=tutor \
  --rule="ingress-paths.example/*=page:80" \
  --rule="ingress-paths.example/predict*=model:8080" \
  --rule="ingress-paths.example/predict/large*=model-large:8080" \
  --rule="ingress-paths.example/upload=intake:9000"
