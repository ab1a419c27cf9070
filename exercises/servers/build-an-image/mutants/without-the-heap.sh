cat > Dockerfile <<'END'
FROM tutor/shell:1
COPY report.sh /report.sh
CMD ["sh", "/report.sh"]
END
tutor image build -t build-an-image:1 .
kubectl run report --image=build-an-image:1 --labels=app=report
