for version in 1 2; do
  sed "s/version ./version $version/" app.sh > new.sh && mv new.sh app.sh
  name="$REGISTRY/layer-order:$version"
  tutor image build -t "$name" -f "$EXERCISE/solution/stages.Dockerfile" .
  tutor image push "$name"
done
