cat > Dockerfile <<'END'
FROM tutor/shell:1
CMD ["sh", "-c", "head -c 24000000 /dev/zero > /raw; echo \"$(wc -c < /raw) bytes of raw data\"; sleep 3600"]
END
tutor image build -t build-an-image:1 .
kubectl run report --image=build-an-image:1 --labels=app=report
